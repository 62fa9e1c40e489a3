"""Checks that can be taken out one at a time, in this process only, to see that the machine finds what each of them finds.

A check that the code does not have (yet) is not in the list that ``known`` returns.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from logsink.errors import FormatError
from logsink.journal import decode_segment


class Check(NamedTuple):
    """A check that can be taken out.

    target    where it is: module, and the name in it, of a class perhaps
    instead   what stands there instead, given what stood there
    kinds     the kinds of objects whose damage it finds
    damages   the damages that it finds; none: any
    """

    target: tuple[str, ...]
    instead: Callable[[Any], Any]
    kinds: tuple[str, ...]
    damages: tuple[str, ...] = ()


def _nothing(result: Any = None) -> Callable[[Any], Any]:
    return lambda real: lambda *_, **__: result


def _async_nothing(real: Any) -> Any:
    async def instead(*_: Any, **__: Any) -> None:
        return None

    return instead


def _own_word(real: Any) -> Any:
    """``chain.check`` that believes what a commit says of itself, where it can be read at all."""
    from logsink.archive.chain import MEMBER, Seal

    def check(body: bytes, actions: Any, version: int, *, sealed: bool) -> Any:
        try:
            return real(body, actions, version, sealed=sealed)
        except FormatError as error:
            if "checksum" not in str(error):
                raise
            said = (actions[0].get("commitInfo") or {}).get(MEMBER) or {}
            return Seal(version, str(said.get("store")), str(said.get("previous")), str(said.get("state")), False)

    return check


def _any_version(real: Any) -> Any:
    """``chain.check`` that takes any version for the right one."""

    def check(body: bytes, actions: Any, version: int, *, sealed: bool) -> Any:
        said = (actions[0].get("commitInfo") or {}).get("logsink") if actions else None
        return real(body, actions, said.get("version", version) if isinstance(said, dict) else version, sealed=sealed)

    return check


def _any_state(real: Any) -> Any:
    """``Fold._prove`` that compares no state."""

    def prove(self: Any, version: int, seal: Any, body: bytes, otherwise: str) -> None:
        real(self, version, None if seal is None else seal._replace(state=""), body, otherwise)

    return prove


def _any_tail(real: Any) -> Any:
    """``proof.read_tail`` that finds the footer and asks for no checksum."""
    from logsink.archive.proof import ProvedTail, footer_size

    def read_tail(key: str, end: Any, tag: Any) -> Any:
        try:
            return real(key, end, tag)
        except FormatError:
            with contextlib.suppress(ValueError):
                return ProvedTail(memoryview(end)[-footer_size(memoryview(end)) :], None)
            raise

    return read_tail


def _named_as_asked(real: Any) -> Any:
    """``tail.decode`` whose segment has whatever name was asked for."""

    def decode(body: bytes, name: Any, filter: Any) -> Any:
        return real(body, decode_segment(body).name, filter)

    return decode


def _unproved(real: Any) -> Any:
    """``segment._proved`` that does not compare the checksum."""

    def proved(body: Any) -> bool:
        try:
            return bool(real(body))
        except FormatError:
            return b"LOGSINK2" in bytes(body)[-24:]

    return proved


def _as_the_txn_says(real: Any) -> Any:
    def proves(self: Any, name: Any) -> bool:
        return name.sequence <= self._txn.get(name.app_id, 0)

    return proves


def _no_damage(real: Any) -> Any:
    async def without_log(store: Any, snapshot: Any) -> Any:
        return snapshot

    return without_log


_FILES = ("file", "file, merged")
_LOG = ("commit", "checkpoint")
_ALL_SEGMENTS = ("segment", "segment, archived")

CHECKS: dict[str, Check] = {
    "hash of a commit": Check(("logsink.archive.fold", "check"), _own_word, ("commit",), ("flip",)),
    "version of a commit": Check(("logsink.archive.fold", "check"), _any_version, ("commit",), ("swap", "old")),
    "previous commit": Check(("logsink.archive.fold", "digest"), _nothing(""), ("commit",), ("forge",)),
    "state of the table": Check(
        ("logsink.archive.fold", "Fold", "_prove"), _any_state, ("checkpoint",), ("old", "swap")
    ),
    "missing commit": Check(("logsink.archive.fold", "Fold", "lose"), _nothing(), ("commit",), ("delete",)),
    "lost log": Check(("logsink.archive.loading", "_without_log"), _no_damage, ("several",), ("lose log",)),
    "tail of a file": Check(("logsink.query.read.datafile", "read_tail"), _any_tail, _FILES, ("flip", "swap", "old")),
    "chunks of a file": Check(("logsink.archive.proof", "Proof", "holds"), _nothing(True), _FILES, ("flip",)),
    "name of a segment": Check(("logsink.query.read.tail", "decode"), _named_as_asked, ("segment",), ("swap", "old")),
    "checksum of a segment": Check(("logsink.journal.segment", "_proved"), _unproved, ("segment",), ("flip",)),
    "gaps of a lane": Check(
        ("logsink.query.read.plan", "find_gaps"), _nothing([]), ("segment", "several"), ("delete", "lose lane")
    ),
    "damage of the log is said": Check(
        ("logsink.query.read.plan", "of_snapshot"), _nothing(()), _LOG, ("delete", "flip", "empty")
    ),
    "upkeep stands still": Check(
        ("logsink.archive.log", "DeltaLog", "refuse_damage"), _nothing(), ("commit", "several")
    ),
    "segments are deleted on proof": Check(
        ("logsink.archive.coverage", "Coverage", "proves"), _as_the_txn_says, ("commit",), ("forge",)
    ),
    "marker while writing": Check(("logsink.store.guarded", "GuardedStore", "_read"), _async_nothing, ("marker",)),
    "verify: marker": Check(
        ("logsink.integrity.verification", "Verification", "_check_marker"), _async_nothing, ("marker",)
    ),
    "verify: data files": Check(
        ("logsink.integrity.verification", "check_file"), lambda real: _as_fine, _FILES, ("flip", "delete", "truncate")
    ),
}


async def _as_fine(*_: Any, **__: Any) -> Any:
    from logsink.archive import Checked

    return Checked()


def known() -> list[str]:
    """The checks that this logsink has."""
    return [name for name, check in CHECKS.items() if _holder(check) is not None]


def _holder(check: Check) -> Any:
    module, *names = check.target
    try:
        holder: Any = importlib.import_module(module)
        for name in names[:-1]:
            holder = getattr(holder, name)
        getattr(holder, names[-1])
    except (ImportError, AttributeError):
        return None
    return holder


@contextmanager
def without(name: str) -> Iterator[Check]:
    """Take a check out while this is entered."""
    check = CHECKS[name]
    holder, last = _holder(check), check.target[-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holder, last, check.instead(getattr(holder, last)))
        yield check
