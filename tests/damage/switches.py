"""What stands in the place of a check that is taken out: each function is given what stood there, and returns what stands there
instead (``without``).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from logsink.errors import FormatError
from logsink.journal import decode_segment

Instead = Callable[[Any], Any]


def nothing(result: Any = None) -> Instead:
    """A function that does nothing."""
    return lambda real: lambda *_, **__: result


def nothing_like(result: Callable[[], Any]) -> Instead:
    """A function that does nothing, and returns what ``result`` makes."""
    return lambda real: lambda *_, **__: result()


def later_nothing(result: Callable[[], Any] = lambda: None) -> Instead:
    """A coroutine function that does nothing, and returns what ``result`` makes."""

    def switch(real: Any) -> Any:
        async def instead(*_: Any, **__: Any) -> Any:
            return result()

        return instead

    return switch


def and_then(change: Callable[[Any], Any]) -> Instead:
    """A coroutine function whose result is changed."""

    def switch(real: Any) -> Any:
        async def instead(*arguments: Any, **options: Any) -> Any:
            return change(await real(*arguments, **options))

        return instead

    return switch


def own_word(real: Any) -> Any:
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


def any_version(real: Any) -> Any:
    """``chain.check`` that takes any version for the right one."""

    def check(body: bytes, actions: Any, version: int, *, sealed: bool) -> Any:
        said = (actions[0].get("commitInfo") or {}).get("logsink") if actions else None
        return real(body, actions, said.get("version", version) if isinstance(said, dict) else version, sealed=sealed)

    return check


def any_program(real: Any) -> Any:
    """``chain.check`` that takes commits without a seal, whatever was before."""

    def check(body: bytes, actions: Any, version: int, *, sealed: bool) -> Any:
        del sealed
        return real(body, actions, version, sealed=False)

    return check


def unproved_checkpoint(real: Any) -> Any:
    """``Fold.checkpointed`` that needs no commit to prove the checkpoint."""

    def checkpointed(self: Any, version: int, body: bytes | None) -> None:
        real(self, version, body)
        if body is None:
            self._doubt = None

    return checkpointed


def a_new_table(real: Any) -> Any:
    """``DeltaLog.refuse_damage`` that lets a table be made."""

    def refuse(self: Any, snapshot: Any, what: str) -> None:
        if what != "make the table":
            real(self, snapshot, what)

    return refuse


def as_listed(real: Any) -> Any:
    """``DeltaLog.load`` that does not remember how far the log reached."""

    async def load(self: Any) -> Any:
        self._reached = -1
        return await real(self)

    return load


def any_state(real: Any) -> Any:
    """``Fold._prove`` that compares no state."""

    def prove(self: Any, version: int, seal: Any, body: bytes, otherwise: str) -> None:
        real(self, version, None if seal is None else seal._replace(state=""), body, otherwise)

    return prove


def any_checkpoint(real: Any) -> Any:
    """``Fold.checkpointed`` that takes the checkpoint for what its commit says."""
    from logsink.archive.fold import DamagedCheckpoint

    def checkpointed(self: Any, version: int, body: bytes | None) -> None:
        with contextlib.suppress(DamagedCheckpoint):
            real(self, version, body)
        self._checkpoint, self._doubt = -1, None

    return checkpointed


def any_tail(real: Any) -> Any:
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


def named_as_asked(real: Any) -> Any:
    """``decode_segment`` whose segment has whatever name was asked for."""
    return lambda body, name=None: real(body) if name is None else real(body)._replace(name=name)


def read_as_asked(real: Any) -> Any:
    """``read_segment`` whose segment has whatever name was asked for."""

    async def read_segment(store: Any, name: Any) -> Any:
        return decode_segment(await store.get(name.key))._replace(name=name)

    return read_segment


def unproved(real: Any) -> Any:
    """``segment._proved`` that does not compare the checksum."""

    def proved(body: Any) -> bool:
        try:
            return bool(real(body))
        except FormatError:
            return b"LOGSINK2" in bytes(body)[-24:]

    return proved


def any_positions(real: Any) -> Any:
    """``dormant.decode_dormant`` that does not compare the checksum."""
    return lambda name, body: real(hashlib.sha256(body).hexdigest(), body)


def without_claims(**changes: Any) -> Instead:
    """``Claims.add`` that passes over a part of what a segment says."""
    return lambda real: lambda self, segment: real(self, segment._replace(**changes))


def as_the_txn_says(real: Any) -> Any:
    """``Coverage.proves`` that believes the txn."""
    return lambda self, name: name.sequence <= self._last(name.app_id)


def said_without(**changes: Any) -> Instead:
    """``of_snapshot`` that passes over a part of what the snapshot says."""
    return lambda real: lambda snapshot: real(snapshot._replace(**changes))


def log_as_it_is(real: Any) -> Any:
    """``_without_log`` that takes a log that is gone for one that never was."""

    async def without_log(store: Any, snapshot: Any) -> Any:
        return snapshot

    return without_log


def input_without_digests(real: Any) -> Any:
    """``Input.__init__`` that does not know the digests of its rows."""

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **options)
        self.digests = None

    return init


def cleared(name: str, value: Any = None) -> Instead:
    """``read_journal`` that forgets one thing that it found."""

    def forget(found: Any) -> Any:
        if value is None:
            getattr(found, name).clear()
        else:
            setattr(found, name, value)
        return found

    return and_then(forget)


def untagged(tags: Collection[str]) -> Instead:
    """A function of a file and its body that does not see some of the file's tags."""

    def switch(real: Any) -> Any:
        def check(file: Any, body: bytes) -> Any:
            return real(file.tagged(tuple(one for one in file.tags if one[0] not in tags)), body)

        return check

    return switch


def any_count(real: Any) -> Any:
    """``inspection._metadata`` that does not compare the number of rows."""
    return lambda file, tail: pq.read_metadata(pa.BufferReader(b"PAR1" + bytes(tail.footer)))


def nobody(real: Any) -> Any:
    """``get_or_none`` that finds no marker."""
    from logsink.store import MARKER

    async def get_or_none(store: Any, key: str, *span: Any) -> bytes | None:
        return None if key == MARKER else await real(store, key, *span)

    return get_or_none


def all_fine() -> Any:
    """A data file without damage."""
    from logsink.archive import Checked

    return Checked()


def no_ledgers() -> Any:
    """A store without ledgers, intact or damaged."""
    from logsink.integrity.ledgers import Ledgers

    return Ledgers({}, {}, {})


def any_body(real: Any) -> Any:
    """``check_body`` that finds nothing."""
    return lambda file, body: all_fine()


def without_knowing(real: Any) -> Any:
    """``Rounds.archive`` that does not look at what its segments know of commits."""

    async def archive(self: Any, snapshot: Any, segments: Any, *losses: Any) -> Any:
        for name, one in segments.items():
            segments[name] = None if one is None else one._replace(commit=-1)
        return await real(self, snapshot, segments, *losses)

    return archive


def all_added_up() -> Any:
    """A ledger that agrees with the table."""
    from logsink.integrity.ledgers import Compared

    return Compared()


def nothing_found() -> Any:
    """An audit of a log without damage."""
    from logsink.archive import Audit

    return Audit((), {}, 0, 0, 0)
