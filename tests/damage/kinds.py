"""Kinds of objects in a store, what each says of others, and which of them nobody needs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive import decode_ledger
from logsink.errors import LogsinkError
from logsink.store import decode_marker
from tests.damage.stores import Template

_COMMIT = re.compile(r"logs/_delta_log/(\d{20})\.json")
_CHECKPOINT = re.compile(r"logs/_delta_log/(\d{20})\.checkpoint.*\.parquet")
_SEGMENT = re.compile(r"(journal/[^/]+/\d+/)(\d{20})\.arrow")


def kind_of(template: Template, key: str) -> str:
    """The kind of an object: what damage to it means depends on it."""
    if key.startswith("journal/"):
        return "segment" if key in template.counting else "segment, archived"
    if key.startswith("logs/date="):
        if key not in template.counting:
            return "file, removed"
        return "file, merged" if "/compacted-" in key else "file"
    if _COMMIT.fullmatch(key):
        return "commit"
    if _CHECKPOINT.fullmatch(key):
        return "checkpoint"
    return {"store.json": "marker", "logs/_delta_log/_last_checkpoint": "hint"}.get(key, key.partition("/")[0])


def version_of(key: str) -> int:
    """The version of a commit or checkpoint, -1 of anything else."""
    match = _COMMIT.fullmatch(key) or _CHECKPOINT.fullmatch(key)
    return int(match[1]) if match else -1


def lane_of(key: str) -> str:
    """The prefix of a segment's lane, '' of anything else."""
    match = _SEGMENT.fullmatch(key)
    return match[1] if match else ""


def names(key: str, template: Template) -> list[str]:
    """Texts of which one must be in what is said about damage to ``key``: itself, or what refers to it."""
    found = [key, key.rpartition("/")[2]]
    version = version_of(key)
    if version >= 0:  # the chain breaks at the next commit; a checkpoint is named by its version
        later = [other for other in template.objects if version_of(other) > version]
        found += ["logs/_delta_log/ ", f"version {version}", *later, *added(template.objects.get(key, b""))]
    if lane := lane_of(key):  # by its prefix, or as its ``appId``
        found += [lane, lane.removeprefix("journal/").rstrip("/").replace("/", ".")]
    return found


def added(commit: bytes) -> list[str]:
    """The keys of the data files that a commit adds: without it, nothing says whether they are in the table."""
    lines = commit.splitlines() if commit.startswith(b"{") else []
    return [f"logs/{line['add']['path']}" for line in map(json.loads, lines) if "add" in line]


def newest(template: Template, changed: Mapping[str, bytes | None], *, by: str = "journal/") -> bool:
    """Whether only ends of chains are gone to which nothing refers: the newest commits, or the newest segments of lanes.

    ``by``: objects with this prefix are read that may refer to them; a query reads no ledgers, a verification reads all.
    """
    gone = {key for key in changed if kind_of(template, key) in ("segment", "commit")}  # no row needs an archived one

    def end(key: str) -> bool:
        if kind_of(template, key) == "commit":
            known = [at for other, at in template.knows.items() if other not in changed and other.startswith(by)]
            later = (other in gone for other in template.objects if _COMMIT.fullmatch(other) and other >= key)
            return all(later) and max(known, default=-1) < version_of(key)
        lane, sequence = lane_of(key), int(key[-26:-6])
        said = [template.refers[other].get(lane, 0) for other in template.refers if other not in changed]
        later = (other in gone for other in template.objects if other.startswith(lane) and other >= key)
        return all(later) and max(said, default=0) < sequence

    return bool(gone) and all(body is None for body in changed.values()) and all(map(end, gone))


def harmless(template: Template, changed: Mapping[str, bytes | None]) -> bool:
    """Whether a check of the whole store may find nothing: hints, removed files, and objects that may be absent."""
    kept = {key for key in template.objects if changed.get(key, b"") is not None}

    def may_be(key: str, body: bytes | None) -> bool:
        kind = kind_of(template, key)
        if kind in ("hint", "file, removed"):
            return True
        if key not in template.objects:  # it was there once: nothing refers to it any more
            return kind != "commit" or "logs/_delta_log/" + "0" * 20 + ".json" not in kept
        if kind == "index" and body in template.objects.values():
            return True  # facts about files that are none of its date, or no files any more, count for nothing
        if body is not None:
            return False
        if kind in ("segment, archived", "index"):  # written again, and kept elsewhere by who needs it
            return True
        if kind == "ledger":  # the oldest ones may go; the newest one is written again
            others = [other for other in kept if kind_of(template, other) == "ledger"]
            return min(others, default=key) >= key or max(others, default=key) <= key
        if kind == "checkpoint":
            return (
                any(kind_of(template, k) == "checkpoint" for k in kept)
                or "logs/_delta_log/" + "0" * 20 + ".json" in kept
            )
        if kind == "commit":  # as the clean-up of the log leaves it
            covered = max((version_of(k) for k in kept if kind_of(template, k) == "checkpoint"), default=-1)
            older = [k for k in kept if kind_of(template, k) == "commit" and k < key]
            return version_of(key) < covered and not older
        return False

    return all(may_be(key, body) for key, body in changed.items())


def says_the_same(kind: str, body: bytes, changed: bytes | None) -> bool:
    """Whether a changed object still says all that is proved of it: a checkpoint which files are live and how far lanes are."""
    try:
        return changed is not None and _said(kind, changed) == _said(kind, body)
    except (LogsinkError, pa.ArrowException, OSError, ValueError):
        return False


_PROVED = ("path", "size", "partitionValues", "stats", "tags", "appId", "version")
"""Fields of files and lanes in a checkpoint that the state of the table proves; times are no part of it."""


def _said(kind: str, body: bytes) -> object:
    match kind:
        case "marker":
            return decode_marker(body)
        case "ledger":
            return decode_ledger(body)
        case "checkpoint":
            rows = pq.read_table(pa.BufferReader(body), columns=["add", "txn"]).to_pylist()
            return [[kind and {name: kind.get(name) for name in _PROVED} for kind in row.values()] for row in rows]
    return body
