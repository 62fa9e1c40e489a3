"""Kinds of objects in a store, what each says of others, and which of them nobody needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

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
        found += ["logs/_delta_log/ ", f"version {version}", *later]
    if lane := lane_of(key):
        found.append(lane)
    return found


def newest(template: Template, keys: Iterable[str]) -> bool:
    """Whether all ``keys`` are the ends of their chains: the newest commits, or the newest segments of their lanes."""
    keys = set(keys)

    def end(key: str) -> bool:
        if kind_of(template, key) == "commit":
            return all(other in keys for other in template.objects if _COMMIT.fullmatch(other) and other >= key)
        if lane := lane_of(key):
            return all(other in keys for other in template.objects if other.startswith(lane) and other >= key)
        return False

    return bool(keys) and all(map(end, keys))


def harmless(template: Template, changed: Mapping[str, bytes | None]) -> bool:
    """Whether a check of the whole store may find nothing: hints, removed files, and objects that may be absent."""
    kept = {key for key in template.objects if changed.get(key, b"") is not None}

    def may_be(key: str, body: bytes | None) -> bool:
        kind = kind_of(template, key)
        if kind in ("hint", "file, removed"):
            return True
        if key not in template.objects:  # it was there once: nothing refers to it any more
            return kind != "commit"
        if kind == "index" and body in template.objects.values():
            return True  # facts about files that are none of its date, or no files any more, count for nothing
        if body is not None:
            return False
        # One that is gone is written again, and kept elsewhere by who needs it.
        if kind in ("segment, archived", "ledger", "index"):
            return True
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
