"""``logsink doctor``: look at everything that a receiver or a sender needs, and say what to do about what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from logsink.cli.options.reading import text_or_json_option
from logsink.cli.options.settings import loaded, options
from logsink.cli.startup import without_pandas
from logsink.cli.terminal.answers import print_json

if TYPE_CHECKING:
    from logsink.cli.doctor.finding import Finding

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@options("store", "listen.tcp", "listen.udp", "listen.relp", "listen.tls", "listen.relp_tls", "listen.http")
@click.option("--from-client", is_flag=True, help="Look from a sender's host: at its configuration and its target.")
@click.option(
    "--etc",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/etc"),
    show_default=True,
    metavar="DIR",
    help="With --from-client: directory of the configuration.",
)
@click.option(
    "--as",
    "program",
    type=click.Choice(["receiver", "maintainer", "reader"]),
    default="receiver",
    show_default=True,
    help="Try the rights that a receiver, maintainer or reader needs on the store.",
)
@click.option("--name", metavar="NAME", help="Name by which senders reach the receiver (default: its addresses).")
@click.option("--ca", type=_FILE, metavar="FILE", help="Authorities that senders trust (default: tls.client_ca).")
@click.option("--cert", type=_FILE, metavar="FILE", help="Certificate of a client, for listeners that ask for one.")
@click.option("--key", type=_FILE, metavar="FILE", help="Key of that certificate.")
@click.option("--no-send", is_flag=True, help="Send no test messages.")
@text_or_json_option
def command(
    config_file: Path | None,
    from_client: bool,
    etc: Path,
    program: str,
    name: str | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    no_send: bool,
    output: str,
    **parameters: object,
) -> int:
    """Look at everything that must work, and say what to do about what does not.

    With the settings of a receiver: the rights on the store, conditional puts, the clock, the key that signs ledgers, TLS
    files; then, for each listener, name, port and TLS, and a message that is sent there and waited for until a query finds
    it. With --as maintainer, only the store and that key; with --as reader, only the store.

    With --from-client, on a sender's host: what rsyslog's configuration says, names for examples that were left in, and for
    each target name, port, TLS, certificates, and a message. RELP acknowledges it once it is stored.

    The messages stay in the archive, as app logsink-doctor.

    Exit code 0: nothing has failed; 2: something has.

    \b
    Examples:
      logsink doctor -c /etc/logsink.toml
      logsink doctor -c /etc/logsink.toml --name logs.example.com --cert client.crt --key client.key
      logsink doctor --store s3://my-logs/prod --as reader
      logsink doctor --from-client
    """
    without_pandas()
    if from_client:
        from logsink.cli.doctor.client import client_findings

        findings = client_findings(etc, sends=not no_send)
    else:
        from logsink.cli.doctor.server import Sender, server_findings

        config = loaded(config_file, parameters).config
        sender = Sender(name or "", *(str(path) if path else "" for path in (ca, cert, key)))
        findings = server_findings(config, program, sender, sends=not no_send)
    return _show(findings, json=output == "json")


def _show(findings: list[Finding], *, json: bool) -> int:
    from logsink.cli.doctor.finding import as_json, healthy, lines, summary

    if json:
        print_json(as_json(findings))
    else:
        for line in lines(findings):
            click.echo(line)
        click.echo(summary(findings))
    return 0 if healthy(findings) else 2
