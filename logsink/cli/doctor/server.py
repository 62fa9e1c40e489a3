"""The checks of ``logsink doctor`` with the settings of a receiver: its store, files and listeners, and a message to each."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import NamedTuple

from logsink import telemetry
from logsink.cli.doctor.delivery import APP, delivery_findings
from logsink.cli.doctor.finding import Finding, failed
from logsink.cli.doctor.network import TIMEOUT, TRANSPORTS, Target, blocked, network_findings
from logsink.cli.doctor.stores import policy, store_findings, store_id
from logsink.config import Config
from logsink.errors import LogsinkError
from logsink.kinds import Address
from logsink.place import Bucket, parse
from logsink.store import open_store

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Sender(NamedTuple):
    """How senders come: the name that they use, the authorities that they trust, the certificate that they show; or ''."""

    name: str = ""
    authority: str = ""
    cert: str = ""
    key: str = ""


def server_findings(config: Config, program: str, sender: Sender, *, sends: bool) -> list[Finding]:
    """Return what is found about a receiver with these settings; for other programs, about the store only."""
    telemetry.setup(level="critical")
    findings, ours = asyncio.run(_store(config.store, program))
    if program != "reader":
        findings += _ledgers(config)
    if program != "receiver":
        return findings
    findings += _tls_files(config)
    if config.listen.http:
        findings.append(_readiness(config.listen.http, ours))
    open_targets = []
    for target in _targets(config, sender):
        way = network_findings(target)
        findings += [one for one in way if one.check != "dns" or not any(_same(one, other) for other in findings)]
        if blocked(way):
            continue
        if sends and config.tls.client_auth == "required" and target.encrypted and not target.cert:
            cause = f"cannot send a message to {target}: this receiver requires a client certificate"
            findings.append(failed("delivery", str(target), cause, "add `--cert` and `--key`"))
        else:
            open_targets.append(target)
    if sends:
        hopeless = [one for one in findings if one.bad and one.check in ("store", "rights", "receiver")]
        if hopeless:
            why = f"no message would be found: see {hopeless[0].check} {hopeless[0].subject}"
            findings.append(Finding("delivery", parse(config.store).url, "skipped", why))
        else:
            findings += delivery_findings(open_targets, lambda token: _found(config.store, token))
    return findings


def _same(one: Finding, other: Finding) -> bool:
    return (one.check, one.subject) == (other.check, other.subject)


async def _store(url: str, program: str) -> tuple[list[Finding], str]:
    """Return what is found about the store, and its id."""
    try:
        async with open_store(url) as store:
            place = parse(url)
            enough = policy(place, program) if isinstance(place, Bucket) else ""
            findings = [one async for one in store_findings(store, program, enough)]
            reached = not any(one.check == "store" and one.bad for one in findings)
            return findings, await store_id(store) if reached else ""
    except LogsinkError as error:
        return [failed("store", url, error)], ""


def _ledgers(config: Config) -> list[Finding]:
    """Return whether ledgers can be written by these settings; nothing where they are neither signed nor locked."""
    if config.ledger.sign_key is None and config.ledger.object_lock is None:
        return []
    from logsink.archive import evidence

    try:
        evidence(config.ledger, config.store)
    except LogsinkError as error:
        return [failed("ledgers", parse(config.store).url, error)]
    found = []
    if config.ledger.sign_key is not None:
        found.append(Finding("ledgers", config.ledger.sign_key, "ok", "the key can sign"))
    if config.ledger.object_lock is not None:
        untried = "S3 Object Lock of the bucket was not tried: a lock cannot be taken back"
        found.append(Finding("ledgers", parse(config.store).url, "skipped", untried))
    return found


def _tls_files(config: Config) -> list[Finding]:
    if not (config.tls.cert and (config.listen.tls or config.listen.relp_tls)):
        return []
    from logsink.net import check_tls_files

    try:
        warnings = check_tls_files(config.tls, time.time())
    except LogsinkError as error:
        return [failed("tls files", config.tls.cert, error)]
    if not warnings:
        return [Finding("tls files", config.tls.cert, "ok", "certificate and key belong together")]
    return [Finding("tls files", config.tls.cert, "warning", one, "see docs/tls.md") for one in warnings]


def _readiness(address: Address, ours: str) -> Finding:
    """Return what the receiver says of itself, and whether its store is the one that was looked at."""
    url = f"http://{Address(_LOOPBACK.get(address.host, address.host), address.port)}/readyz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine is reached without a proxy
    try:
        try:
            with opener.open(url, timeout=TIMEOUT) as reply:
                said = json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                said = json.load(error)
    except (ValueError, HTTPException):
        said = None
    except OSError as error:
        cause = getattr(error, "reason", None) or error
        return failed("receiver", url, f"cannot ask the receiver: {cause}", "start it: systemctl status logsink")
    if not isinstance(said, dict):
        remedy = "see what listens there (ss -ltnp), and correct listen.http"
        return failed("receiver", url, "cannot ask the receiver: what answers there is no receiver", remedy)
    theirs = said.get("store")
    if ours and theirs and theirs != ours:
        detail = f"the receiver uses store {theirs}, and these settings name store {ours}"
        return failed(
            "receiver", url, detail, "give doctor the receiver's settings (-c), or restart the receiver with these"
        )
    if not said.get("ready"):
        reason = said.get("store_error") or ("it drains" if said.get("draining") else "reading is paused or it starts")
        return failed(
            "receiver", url, f"the receiver is not ready: {reason}", "see docs/operations.md, What to do when"
        )
    if said.get("archive_error"):
        return Finding("receiver", url, "warning", f"ready, but: {said['archive_error']}", "run `logsink verify`")
    return Finding("receiver", url, "ok", f"ready, receiver {said.get('receiver')}")


def _targets(config: Config, sender: Sender) -> list[Target]:
    """Return the listeners as targets of senders. Port 0 is passed over: only the receiver knows which it took."""
    authority = sender.authority or config.tls.client_ca or ""
    found = []
    for transport in TRANSPORTS:
        for address in getattr(config.listen, transport):
            host = sender.name or _LOOPBACK.get(address.host, address.host)
            one = Target(transport, host, address.port)
            if one.encrypted:
                one = Target(transport, host, address.port, sender.name, authority, sender.cert, sender.key)
            if address.port:
                found.append(one)
    return found


def _found(url: str, token: str) -> bool:
    """Return whether a query finds a message."""
    from logsink.library import Archive

    return bool(Archive(url).scan(token, app=APP, since="1h", columns=["message"]).read_all())
