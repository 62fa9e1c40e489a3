"""The chain of commits: what each commit of the table's log says to prove itself, the one before it, and the table's state.

A persistent format: a member ``logsink`` of the action ``commitInfo``, which is the first line of every commit::

    hash       SHA-256 of this commit, with 64 zeros in the place of these 64 digits
    version    the version that the commit was made for
    store      id of the store that it was made for (``store.json``); "" where that is not known
    previous   SHA-256 of the commit of ``version - 1``, whole; "" where that was not known
    state      the digest of the table's files and transactions after this commit (``State``)
    rebuilt    true, and only there, in a commit by which ``logsink repair`` wrote the whole table anew (``rebuilding``):
               nothing before it counts

Any bit of a commit that changes is found by ``hash``, a commit that was replaced or taken by ``previous`` of the next one, and
a checkpoint that does not hold what its commits held by ``state``. Commits of logsink 0.2 and before have no such member. They
are accepted where nothing sealed came before them, and between sealed ones when they have exactly the members that logsink 0.2
writes, because receivers of both versions share a table while one is replaced by the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from logsink.errors import FormatError

if TYPE_CHECKING:
    from logsink.archive.snapshot import DataFile

Json = dict[str, Any]

MEMBER = "logsink"
_COMMIT: Final = "cannot read a commit of the table's log"

_ZEROS = b"0" * 64
_SEALED = b':{"hash":"'
_HASH = re.compile(rb'"hash":"([0-9a-f]{64})"')
_DIGEST = re.compile(r"[0-9a-f]{64}|")
MODULUS = 1 << 256
_OLDER = (
    frozenset({"timestamp", "operation", "operationParameters", "isBlindAppend", "engineInfo", "txnId"}),
    frozenset({"timestamp", "operation", "engineInfo"}),
)
"""Members of ``commitInfo`` in logsink 0.2: of a commit, and of version 0."""


class Seal(NamedTuple):
    """What a commit says about itself, besides its own hash."""

    version: int
    store: str
    previous: str
    state: str
    rebuilt: bool = False


def seal(
    actions: Sequence[Json], *, version: int, store: str, previous: str, state: str, rebuilt: bool = False
) -> bytes:
    """Return the body of a commit; the first of ``actions`` is its ``commitInfo``."""
    member: Json = {"hash": _ZEROS.decode(), "version": version, "store": store, "previous": previous, "state": state}
    if rebuilt:
        member["rebuilt"] = True
    (name, info), *others = actions[0].items()
    assert name == "commitInfo", "the first action of a commit"
    assert not others, "one action a line"
    lines = [{"commitInfo": {**info, MEMBER: member}}, *actions[1:]]
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    return body.replace(_ZEROS, hashlib.sha256(body).hexdigest().encode(), 1)


def parse(body: bytes) -> list[Json]:
    """Return the actions of one commit. Raises ``FormatError`` unless each line is a JSON object."""
    try:
        actions = [orjson.loads(line) for line in body.splitlines() if line.strip()]
    except orjson.JSONDecodeError as error:
        raise FormatError(_COMMIT, str(error)) from error
    if not all(isinstance(action, dict) for action in actions):
        raise FormatError(_COMMIT, "a line is no JSON object")
    return actions


def check(body: bytes, actions: Sequence[Json], version: int, *, sealed: bool) -> Seal | None:
    """Return the seal of the commit of ``version``; None when it has none, and may have none.

    ``sealed``: a commit before it has a seal. Raises ``FormatError`` when the commit does not prove itself.
    """
    if not actions:
        raise FormatError(_COMMIT, "it is empty")
    info = actions[0].get("commitInfo")
    said = info.get(MEMBER) if isinstance(info, dict) else None
    if said is None:
        if _SEALED in body.partition(b"\n")[0] or (
            isinstance(info, dict) and _ours(info) and not _of_older_version(info)
        ):
            raise FormatError(_COMMIT, "it does not match its checksum")  # it has a seal, of whose name a bit is wrong
        if sealed and not (isinstance(info, dict) and _of_older_version(info)):
            writer = info.get("engineInfo") if isinstance(info, dict) else None
            by = f"it was written by another program ({writer})" if writer else "it has no hash"
            raise FormatError(_COMMIT, f"{by}, where the commit before it is sealed")
        return None
    found = _HASH.findall(body.partition(b"\n")[0])
    if len(found) != 1 or not isinstance(said, dict) or said.get("hash") != found[0].decode():
        raise FormatError(_COMMIT, "it does not match its checksum")
    if hashlib.sha256(body.replace(found[0], _ZEROS, 1)).hexdigest() != said["hash"]:
        raise FormatError(_COMMIT, "it does not match its checksum")
    digests = [said.get(name) for name in ("previous", "state")]
    if not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in digests):
        raise FormatError(_COMMIT, "it has a hash, but not what it is to prove")
    if said.get("version") != version:
        raise FormatError(_COMMIT, f"it is the commit of version {said.get('version')}")
    previous, state = map(str, digests)
    return Seal(version, str(said.get("store") or ""), previous, state, said.get("rebuilt") is True)


def _of_older_version(info: Mapping[str, object]) -> bool:
    return frozenset(info) in _OLDER and _ours(info)


def _ours(info: Mapping[str, object]) -> bool:
    return str(info.get("engineInfo")).startswith("logsink/")


def digest(body: bytes) -> str:
    """Return what the next commit says as ``previous``."""
    return hashlib.sha256(body).hexdigest()


class State:
    """The digest of a table's files and transactions: the sum modulo 2^256 of the SHA-256 of each.

    So it is the same in whatever order they came, and follows from that of the version before.
    """

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def __str__(self) -> str:
        return f"{self.value:064x}"

    def add_file(self, file: DataFile) -> None:
        """Count a file that enters the table."""
        self._add(_file(file))

    def remove_file(self, file: DataFile) -> None:
        """Count a file that leaves the table."""
        self._add(-_file(file))

    def move(self, app_id: str, before: int | None, after: int | None) -> None:
        """Count a transaction's new version, None when it leaves; ``before``: that which it had, None where it had none."""
        if before is not None:
            self._add(-_txn(app_id, before))
        if after is not None:
            self._add(_txn(app_id, after))

    def _add(self, number: int) -> None:
        self.value = (self.value + number) % MODULUS


def _file(file: DataFile) -> int:
    tags = [file.packed] if file.packed else []
    return _number(["add", file.path, str(file.size), file.date.isoformat(), file.statistics, *tags])


def _txn(app_id: str, version: int) -> int:
    return _number(["txn", app_id, str(version)])


def _number(parts: Sequence[str]) -> int:
    """Return the SHA-256 of the parts, each ended by a zero byte, which none of them holds, as a number."""
    return int.from_bytes(hashlib.sha256("\0".join((*parts, "")).encode(errors="surrogatepass")).digest(), "big")
