"""What ``logsink tls show`` says of an authority and of what it has issued, as lines and as JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from logsink.cli.tls.certificates import Certificate, is_key_of, issued_by
from logsink.cli.tls.folder import PLACES, Folder, described, read


class Shown(NamedTuple):
    """One certificate, where its files are, and what is wrong with it ('': nothing)."""

    kind: str
    path: Path
    certificate: Certificate
    wrong: str


def shown(folder: Folder, now: dt.datetime, within: dt.timedelta) -> list[Shown]:
    """Return the authority and what it has issued, by kind and name; what ends ``within`` some time is named as wrong.

    Raises ``LogsinkError`` if there is no authority, or a file cannot be read.
    """
    authority = folder.authority().certificate
    found = [Shown("authority", folder.root, described(folder.certificate), "")]
    for home in folder.issued():
        kind = home.parent.name
        path = home / f"{kind}.crt"
        certificate = described(path)
        foreign = "" if issued_by(authority, read(path)) else "another authority has issued it"
        found.append(Shown(kind, home, certificate, foreign or _of_key(path, certificate)))
    return [one._replace(wrong=one.wrong or _ending(one, now, within)) for one in found]


def lines(found: list[Shown], now: dt.datetime) -> Iterator[str]:
    """Yield the lines that say so, with what to copy where."""
    for one in found:
        certificate = one.certificate
        names = certificate.names or [certificate.common_name]
        days = (certificate.ends - now).days
        yield f"{one.kind:<9}  {', '.join(names)}"
        yield f"           valid until {certificate.ends:%Y-%m-%d} ({days} days){': ' + one.wrong if one.wrong else ''}"
        yield f"           {certificate.fingerprint}"
        if one.kind == "authority":
            yield f"           keep {one.path / 'ca.key'} secret, and back it up: whoever has it can issue certificates"
        else:
            yield f"           copy {one.path}/* to {PLACES[one.kind]}/"


def as_json(found: list[Shown]) -> list[dict[str, object]]:
    """Return the certificates with stable names."""
    return [
        {
            "kind": one.kind,
            "directory": str(one.path),
            "common_name": one.certificate.common_name,
            "names": one.certificate.names,
            "begins": one.certificate.begins,
            "ends": one.certificate.ends,
            "fingerprint": one.certificate.fingerprint,
            "copy_to": PLACES.get(one.kind),
            "wrong": one.wrong,
        }
        for one in found
    ]


def _of_key(path: Path, certificate: Certificate) -> str:
    """Return what is wrong with the key beside a certificate, and what to do; it may have been moved to its host."""
    key = path.with_suffix(".key")
    if not key.exists() or is_key_of(read(path), read(key)):
        return ""
    again = f"logsink tls issue {path.parent.parent.name} {certificate.common_name!r}"
    return f"its key is of another certificate; issue it again: {again}"


def _ending(one: Shown, now: dt.datetime, within: dt.timedelta) -> str:
    """Return what is wrong with the time until which a certificate is valid, and what to do."""
    if one.certificate.ends > now + within:
        return ""
    again = "init --renew" if one.kind == "authority" else f"issue {one.kind} {one.certificate.common_name!r}"
    state = "it has ended" if one.certificate.ends <= now else "it ends soon"
    return f"{state}; renew it: logsink tls {again}"
