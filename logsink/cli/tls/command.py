"""``logsink tls``: an authority for a small fleet, and the certificates of its receivers and senders."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logsink.cli.options.reading import text_or_json_option
from logsink.cli.terminal.answers import print_answer
from logsink.errors import ArgumentError

if TYPE_CHECKING:
    from logsink.cli.tls.folder import Folder

SERVER = """\
There, let the receiver's user read it (chown -R logsink {place}), and write into the receiver's settings:

  [listen]
  relp_tls = ["0.0.0.0:2515"]

  [tls]
  cert = "{place}/server.crt"
  key = "{place}/server.key"
  client_ca = "{place}/ca.crt"
  client_auth = "required"
"""

_directory: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "-d",
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tls"),
    show_default=True,
    metavar="DIR",
    help="Directory of the authority.",
)


@click.group()
def command() -> None:
    """Make certificates for a small fleet: an authority, servers, clients.

    \b
    Example:
      logsink tls init
      logsink tls issue server logs.example.com 192.0.2.10
      logsink tls issue client web-1.example.com
      logsink tls show
    """


@command.command()
@_directory
@click.option("--name", default="logsink", show_default=True, metavar="NAME", help="Name of a new authority.")
@click.option(
    "--days",
    type=click.IntRange(1, 36500),
    default=3650,
    show_default=True,
    metavar="DAYS",
    help="Days that the authority is valid.",
)
@click.option("--renew", is_flag=True, help="Make a new certificate for the key of the authority that is there.")
def init(directory: Path, name: str, days: int, renew: bool) -> None:
    """Make an authority, which issues certificates.

    With --renew, its certificate is made anew with the same key and name: what it has issued stays valid, and hosts accept
    new certificates once they have the new ca.crt.
    """
    from logsink.cli.tls.certificates import describe, make_authority, renew_authority

    folder = _folder(directory)
    if not renew and folder.exists():
        raise ArgumentError(
            f"cannot make an authority in {directory}: there is one",
            hint="--renew renews its certificate, --directory names another place",
        )
    pair = renew_authority(folder.authority(), _now(), days) if renew else make_authority(name, _now(), days)
    folder.keep_authority(pair)
    click.echo(
        f"{'renewed' if renew else 'made'} {folder.certificate}, valid until {describe(pair.certificate).ends:%Y-%m-%d}"
    )
    if renew:
        click.echo("copy ca.crt to every host before the old one ends; what was issued stays valid")
    else:
        click.echo(f"keep {folder.key} secret, and back it up: whoever has it can issue certificates")


@command.command()
@click.argument("kind", type=click.Choice(["server", "client"]))
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_directory
@click.option(
    "--days",
    type=click.IntRange(1, 36500),
    default=397,
    show_default=True,
    metavar="DAYS",
    help="Days that the certificate is valid.",
)
def issue(kind: str, names: tuple[str, ...], directory: Path, days: int) -> None:
    """Issue a certificate for a server (a receiver) or a client (a sender), or renew it.

    Each NAME is a DNS name or an address: for a server all by which senders reach it, for a client the host's, or that of a
    role which several hosts share. The first is the common name, by which the certificate is found here. Called again with
    that name only, the certificate is renewed with all its names.

    The files for the host are in a directory of their own, DIR/KIND/NAME, to be copied there whole.
    """
    from logsink.cli.tls import certificates
    from logsink.cli.tls.folder import PLACES, described

    folder = _folder(directory)
    before = folder.home(kind, names[0]) / f"{kind}.crt"
    if before.exists() and len(names) == 1:
        names = tuple(dict.fromkeys([names[0], *described(before).names]))
    verb = "renewed" if before.exists() else "issued"
    authority = folder.authority()
    pair = certificates.issue(authority, kind, names, _now(), days)
    home = folder.keep(kind, names[0], pair, authority.certificate)
    ends = certificates.describe(pair.certificate).ends
    click.echo(f"{verb} a {kind} certificate for {', '.join(names)}, valid until {ends:%Y-%m-%d}")
    click.echo(f"copy it to the host: scp {shlex.quote(str(home))}/* root@HOST:{PLACES[kind]}/")
    if kind == "server" and verb == "issued":
        click.echo(SERVER.format(place=PLACES[kind]), nl=False)


@command.command()
@_directory
@click.option(
    "--within",
    type=click.IntRange(0, 36500),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="Days before its end at which a certificate is due to be renewed.",
)
@text_or_json_option
def show(directory: Path, within: int, output: str) -> int:
    """Show all certificates: names, ends, what to copy where.

    Exit code 0: all are good; 1: one is due to be renewed, is not of this authority, or has a wrong key; 2: an error.
    """
    from logsink.cli.tls.show import as_json, lines, shown

    now = _now()
    found = shown(_folder(directory), now, dt.timedelta(days=within))
    print_answer(output, lambda: as_json(found), lambda: lines(found, now))
    return int(any(one.wrong for one in found))


def _folder(directory: Path) -> Folder:
    from logsink.cli.tls.folder import Folder

    return Folder(directory)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
