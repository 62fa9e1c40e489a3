"""``logsink client-config``: print the configuration with which a client sends to logsink."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from logsink.cli.client_config.request import MARK, Family, Library, Protocol
from logsink.cli.drafts import write_whole
from logsink.errors import ArgumentError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logsink.cli.client_config.bundle import File

KINDS = ("rsyslog", "journald", "docker", "syslog-ng", "fluent-bit", "vector", "otel-collector")
CERTIFICATES = ("ca.crt", "client.crt", "client.key")
"""Files of a directory that `logsink tls issue client` makes."""

FORMATS = ("plain", "cloud-init", "ansible", "kubernetes", "systemd-dropin")


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option(
    "--target",
    metavar="NAME[:PORT]",
    required=True,
    help="Receiver to send to (default port: 2514, TCP 5514; with TLS 2515, TCP 6514).",
)
@click.option(
    "--protocol", type=click.Choice(get_args(Protocol)), help="Protocol (default: relp; tcp for clients without RELP)."
)
@click.option("--tls", is_flag=True, help="Encrypt, and check the receiver's certificate against its name.")
@click.option(
    "--tls-library",
    type=click.Choice(get_args(Library)),
    default="openssl",
    show_default=True,
    help="TLS library of rsyslog.",
)
@click.option(
    "--ca",
    metavar="FILE",
    default="",
    help="File on the client with the authorities that it trusts (default: those of the system).",
)
@click.option("--cert", metavar="FILE", default="", help="Certificate of the client, if the receiver asks for one.")
@click.option("--key", metavar="FILE", default="", help="Key of that certificate.")
@click.option(
    "--certificates",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Send ca.crt, client.crt and client.key of DIR along (logsink tls).",
)
@click.option(
    "--environment", metavar="SOURCE", help="Environment: a text or a source (default: LOG_ENVIRONMENT of the client)."
)
@click.option("--role", metavar="SOURCE", help="Role: a text or a source (default: LOG_ROLE of the client).")
@click.option("--deploy", metavar="SOURCE", help="Deploy: a text or a source (default: LOG_DEPLOY of the client).")
@click.option(
    "--instance", metavar="SOURCE", help="Instance: a text or a source (default: EC2's id or the machine id)."
)
@click.option(
    "--input",
    "inputs",
    metavar="INPUT",
    multiple=True,
    help="Write a whole rsyslog.conf that reads journal, socket, kernel or file:PATH (default: a part of one).",
)
@click.option(
    "--mark",
    type=click.IntRange(0, 86_400),
    metavar="SECONDS",
    default=MARK,
    show_default=True,
    help="How often rsyslog says -- MARK --, so that a quiet host is seen to live; 0: never.",
)
@click.option(
    "--family",
    type=click.Choice(get_args(Family)),
    default="debian",
    show_default=True,
    help="Paths and packages of the client.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="plain",
    show_default=True,
    help="What the files are wrapped in.",
)
@click.option(
    "-O",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write all files below DIR, as on the client, and print their paths.",
)
def command(
    kind: str,
    target: str,
    protocol: Protocol | None,
    tls: bool,
    tls_library: Library,
    ca: str,
    cert: str,
    key: str,
    certificates: Path | None,
    inputs: tuple[str, ...],
    mark: int,
    family: Family,
    form: str,
    output: Path | None,
    **identity: str | None,
) -> None:
    """Print the configuration with which a client sends to logsink.

    The client queues on disk while logsink is away, never gives up, and says in every message which environment, role,
    deploy and instance it is, in which boot it wrote the message, and a running number.

    A SOURCE is a text, or says where the client finds it when it boots: '$NAME' is a variable of the service's environment,
    file:PATH the first line of a file, ec2-tag:NAME a tag of the instance, container-label:NAME a label of the container.
    By default it is a variable, LOG_ROLE and so on, that /etc/logsink-client/identity sets (docs/clients.md).

    With --format plain, only the configuration itself is printed. The other formats and --output have everything that a client
    needs at boot.

    \b
    Examples:
      logsink client-config rsyslog --target logs.internal:2514 --role web --deploy '$DEPLOY'
      logsink client-config rsyslog --target logs.internal --tls --input journal --format cloud-init
      logsink client-config rsyslog --target logs.internal --protocol tcp --family redhat -O image/
    """
    from logsink.cli.client_config import bundle, formats, request

    by_rsyslog = kind in ("rsyslog", "journald", "docker")
    if protocol == "relp" and not by_rsyslog:
        raise ArgumentError(f"cannot send by RELP: {kind} does not speak it", hint="leave --protocol out")
    protocol = protocol or ("relp" if by_rsyslog else "tcp")
    if certificates is not None:
        for option, path, name in zip(("--ca", "--cert", "--key"), (ca, cert, key), CERTIFICATES, strict=True):
            if path:
                why = f"that sends {name} along, and the client uses it"
                hint = f"leave {option} or --certificates out"
                raise ArgumentError(f"cannot use {option} {path} with --certificates: {why}", hint=hint)
        tls, (ca, cert, key) = True, (f"{request.TLS}/{name}" for name in CERTIFICATES)
    wanted = request.Request(
        target=request.target(target, protocol, tls),
        protocol=protocol,
        tls=tls,
        tls_library=tls_library,
        ca=_path("--ca", ca),
        cert=_path("--cert", cert),
        key=_path("--key", key),
        certificates=_certificates(certificates) if certificates else (),
        identity={name: request.source(name, text) for name, text in identity.items() if text is not None},
        inputs=tuple(request.input_source(one) for one in inputs),
        family=family,
        mark=mark,
        command=_shown(click.get_current_context()),
    )
    _refuse_parts(tls=tls, ca=ca, cert=cert, key=key)
    made = bundle.KINDS[kind](wanted)
    if output is not None:
        _write(made.files, output)
        click.echo(f"logsink: as root on each client, with {output} copied there:", err=True)
        for line in formats.by_hand(made, family, output):
            click.echo(f"  {line}", err=True)
        return
    click.echo(formats.FORMATS[form](made, wanted.command), nl=False)
    if form in ("plain", "systemd-dropin"):
        printed = made.main if form == "plain" else made.boot[0]
        others = ", ".join(file.path for file in made.files if file != printed)
        click.echo(f"logsink: a client also needs {others} (--output DIR writes all files)", err=True)


def _refuse_parts(*, tls: bool, ca: str, cert: str, key: str) -> None:
    """Raise ``ArgumentError`` for an option of TLS without the one that it needs."""
    for option, path, other, what, partner in (
        ("--cert", cert, "--key", "the certificate's key", key),
        ("--key", key, "--cert", "the key's certificate", cert),
    ):
        if path and not partner:
            raise ArgumentError(f"cannot use {option} {path} without {other}", hint=f"add {other} FILE: {what}")
    for option, path in (("--ca", ca), ("--cert", cert)):
        if path and not tls:
            raise ArgumentError(f"cannot use {option} {path} without TLS", hint=f"add --tls, or leave {option} out")


def _path(option: str, text: str) -> str:
    """Check the path of a file on the client."""
    if not text:
        return text
    hint = "name the file as it is on the client, as in /etc/rsyslog-tls/ca.crt"
    if not text.startswith("/"):
        raise ArgumentError(f"cannot use {option} {text!r}: the path is not absolute", hint=hint)
    if not text.isprintable() or set(text) & set("\"\\'`$ "):
        raise ArgumentError(
            f"cannot use {option} {text!r}: the path has a space, a control character or one of \" \\ ' ` $", hint=hint
        )
    return text


def _certificates(directory: Path) -> tuple[tuple[str, str], ...]:
    """Return name and text of each file that `logsink tls issue client` has put into a directory."""
    if not str(directory).isprintable():  # it stands in comments of what is printed
        raise ArgumentError(f"cannot use --certificates {str(directory)!r}: the path has a control character")
    try:
        return tuple((name, (directory / name).read_text(encoding="ascii")) for name in CERTIFICATES)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is no PEM"
        hint = "`logsink tls issue client NAME` makes such a directory"
        raise ArgumentError(f"cannot read certificates in {directory}: {cause}", hint=hint) from error


def _shown(ctx: click.Context) -> str:
    """Return the command line that asks for the same configuration again, whatever the format."""
    words = [*ctx.command_path.split(), str(ctx.params["kind"])]
    for param in ctx.command.params:
        if param.name in ("kind", "form", "output") or not isinstance(param, click.Option) or not param.name:
            continue
        given = ctx.get_parameter_source(param.name) is click.core.ParameterSource.COMMANDLINE
        value = ctx.params[param.name] if given else None
        flag = param.opts[0]
        if value is True:
            words.append(flag)
        elif value is not None:
            for one in value if isinstance(value, tuple) else (value,):
                words += [flag, str(one)]
    return shlex.join(words)


def _write(files: Iterable[File], directory: Path) -> None:
    """Write files below a directory as they stand below / on the client, and print the path of each."""
    for file in files:
        path = directory / file.path.lstrip("/")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, file.text.encode(), int(file.mode, 8))
        except OSError as error:
            hint = "name another directory with -O, one that is there or can be made"
            raise OutputError(f"cannot write {path}: {error.strerror}", hint=hint) from error
        click.echo(path)
