"""The checks of ``logsink doctor --from-client``: the configuration of a sender, and the way to each of its targets."""

from __future__ import annotations

from pathlib import Path

from logsink.cli.doctor.client_files import IDENTITY, client_targets, identity_element
from logsink.cli.doctor.delivery import Undelivered, send
from logsink.cli.doctor.finding import Finding, failed
from logsink.cli.doctor.network import Target, blocked, network_findings


def client_findings(etc: Path, *, sends: bool) -> list[Finding]:
    """Return what is found on a sender's host."""
    targets, findings = client_targets(etc)
    element = identity_element(IDENTITY, etc / "logsink-client/identity")
    for target in targets:
        way = network_findings(target)
        findings += way
        if sends and not blocked(way):
            findings.append(_sent(target, element))
    return findings


def _sent(target: Target, element: str) -> Finding:
    try:
        token, _, told = send(target, element)
    except Undelivered as error:
        return failed("delivery", str(target), f"cannot send a message to {target}: {error}", error.remedy)
    if told:
        return Finding("delivery", str(target), "ok", told.rstrip(", ") + ": it is stored")
    detail = f"sent, and nothing acknowledges it; `logsink query {token}` at the receiver finds it"
    return Finding("delivery", str(target), "ok", detail)
