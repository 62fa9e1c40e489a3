"""Metrics and log events: each is declared once, here; the code only emits it: ``FRAMES.labels("tcp").inc(n)``.

Metrics are in ``REGISTRY`` (Prometheus). Counters end in ``_total``; units are seconds and bytes.

An event has a name, a level and a text with ``{fields}``; ``setup`` decides whether lines are text or JSON, in which fields are
values of their own. An event that senders or a failing store can cause in a loop names the fields that make two of its lines
one matter (``matter``): then repetitions are counted, as ``logsink.notices`` describes, and ``flush`` writes the counts.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TextIO

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from logsink import __version__
from logsink.flags import Flag, names
from logsink.notices import Due, Notices
from logsink.platform.streams import PatientHandler

REGISTRY = CollectorRegistry()

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 90)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"logsink_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"logsink_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str) -> Histogram:
    return Histogram(f"logsink_{name}", text, registry=REGISTRY, buckets=_FAST)


# --- the process
BUILD = _gauge("build_info", "1; the label is the version of logsink that runs.", "version")
BUILD.labels(__version__).set(1)
ProcessCollector(registry=REGISTRY)  # process_...: CPU, memory, files and start time of the process

LINES_DROPPED = _counter("log_lines_dropped", "Lines of the own log that were dropped because nobody read stderr.")

# --- receiving
CONNECTIONS = _gauge("connections", "Connections open now.", "transport")
ACCEPTED = _counter("connections_accepted", "Connections accepted.", "transport")
REFUSED = _counter(
    "connections_refused", "Connections closed at once because receive.max_connections was reached.", "transport"
)
REJECTED = _counter(
    "connections_rejected",
    "Connections closed because of what the client sent, or did not send in time.",
    "transport",
    "kind",
)
CERTIFICATE_FAILURES = _counter("tls_certificate_failures", "Changed TLS files that could not be used.")
CERTIFICATE_EXPIRES = _gauge(
    "tls_certificate_expires_seconds",
    "Time at which the certificate of the TLS listeners expires, in seconds since 1970; 0 without TLS listeners.",
)
FRAMES = _counter("frames", "Frames received.", "transport")
FRAME_BYTES = _counter("frame_bytes", "Bytes of frames received, framing excluded.", "transport")
FLAGGED = _counter("frames_flagged", "Frames with a flag (see docs/storage.md).", "flag")
SENDER_LAST_SEEN = _gauge(
    "sender_last_seen_seconds",
    "Time of the last frames from this address, in seconds since 1970; of 1,000 senders at most, until silent for a day.",
    "sender",
)
SENDERS_UNTOLD = _counter(
    "senders_untold", "Reads from senders for which there was no room in logsink_sender_last_seen_seconds."
)
DISCARDED = _counter("discarded_bytes", "Bytes of frames beyond receive.max_message, which are not kept.", "transport")
LOST = _counter(
    "udp_lost",
    "Datagrams lost: at the memory limit, beyond the sender's share of it, or in the kernel for a full socket buffer.",
    "where",
)
SHARE_EXCEEDED = _counter(
    "share_exceeded",
    "Times that reading of a sender paused because it held more than its share of receive.memory_limit.",
)
INFLATION_LIMITED = _counter(
    "inflation_limited",
    "Times that a compressed stream waited, and compressed datagrams kept compressed, because of receive.max_inflated.",
    "what",
)
SESSIONS_FAILED = _counter("relp_sessions_failed", "RELP sessions ended because of an error of the client.")
RESENT = _counter(
    "relp_resent_frames", "Frames sent again and recognised: acknowledged with their first copy, not stored again."
)
RESENDS_FORGOTTEN = _counter(
    "relp_resends_forgotten",
    "Frames of broken RELP sessions that are no longer remembered: when they are sent again, they are stored again.",
)
PAUSED = _gauge("receive_paused", "1 while reading is paused because receive.memory_limit is reached, else 0.")
UNFINISHED = _gauge("unfinished_bytes", "Bytes received of frames whose end has not arrived yet.")

# --- workers
WORKERS_ENDED = _counter("workers_ended", "Workers that ended unexpectedly and were replaced.", "worker")

# --- journal
UNSTORED = _gauge("journal_unstored_bytes", "Bytes received and not stored yet.")
SEGMENTS = _counter("journal_segments", "Segments stored.")
SEGMENT_BYTES = _counter("journal_segment_bytes", "Bytes of segments stored.")
PUT_SECONDS = _histogram("journal_put_seconds", "Seconds to store a segment, from the first try on.")
PUT_FAILURES = _counter("journal_put_failures", "Failed tries to store a segment; each is followed by another.")
ACK_SECONDS = _histogram(
    "ack_seconds", "Seconds from reading the first frame of a segment with acknowledgements due until it is stored."
)

# --- archive
COMMITS = _counter("archive_commits", "Commits of this receiver to the table.")
ARCHIVED_ROWS = _counter("archive_rows", "Rows committed to the table.")
ARCHIVED_BYTES = _counter("archive_bytes", "Bytes of data files committed to the table.")
ARCHIVE_FAILURES = _counter("archive_failures", "Failed archive rounds; each is followed by another.")
ARCHIVE_CONFLICTS = _counter(
    "archive_conflicts", "Commits given up because another writer's commit won; each is planned again."
)
ARCHIVE_SECONDS = _histogram("archive_round_seconds", "Seconds of an archive round, from parsing to the commit.")
BACKLOG_BYTES = _gauge(
    "archive_backlog_bytes", "Bytes of frames of this receiver that are in the journal and not in the table yet."
)
BACKLOG_SEGMENTS = _gauge(
    "archive_backlog_segments", "Segments of this receiver that are in the journal and not in the table yet."
)
ADOPTED = _counter("adopted_segments", "Segments of receivers that are gone, archived by this receiver.")
DELETED = _counter("journal_segments_deleted", "Segments deleted because their rows are in the table.")
QUARANTINED = _counter(
    "quarantined_segments", "Segments that no version can read: copied to quarantine/, and passed over."
)
COMPACTIONS = _counter("compactions", "Committed merges of small data files into one.")
LEDGERS = _counter("ledgers", "Ledgers of dates that are over.")
COMPACTED_FILES = _counter("compacted_files", "Data files that were merged.")
COMPACTED_BYTES = _counter("compacted_bytes", "Bytes of data files before and after merging.", "when")
INDEX_OBJECTS = _counter("index_objects", "Objects of the index that were stored.")
COMPACTION_CONFLICTS = _counter("compaction_conflicts", "Merges given up because another process changed the table.")
RETIRED_FILES = _counter("retired_files", "Data files removed from the table by maintain.retention.")
REMOVED_FILES = _counter(
    "removed_files", "Data files deleted from the store: merged or retired long enough ago, or never committed."
)
CHECKPOINTS = _counter("checkpoints", "Checkpoints written to the table's log.")


_frames, _frame_bytes = cache(FRAMES.labels), cache(FRAME_BYTES.labels)
"""The counters of a transport, kept because finding them for each read takes longer than counting."""


def count_frames(transport: str, frames: int, nbytes: int) -> None:
    """Add to ``FRAMES`` and ``FRAME_BYTES``."""
    _frames(transport).inc(frames)
    _frame_bytes(transport).inc(nbytes)


def count_flags(flag_counts: dict[int, int]) -> None:
    """Add to ``FLAGGED`` the numbers of frames by their flags (a value with one or more bits of ``Flag``)."""
    for bit, frames in flag_counts.items():
        for name in names(bit):
            FLAGGED.labels(name).inc(frames)


for _flag in Flag:
    FLAGGED.labels(names(int(_flag))[0])

_LOGGER = logging.getLogger("logsink")
_LOGGER.propagate = False


@dataclass(frozen=True, slots=True)
class Event:
    """A kind of line in logsink's own log. ``text`` is a ``str.format`` template over the fields given to ``log``."""

    name: str
    level: int
    text: str
    matter: tuple[str, ...] | None = None
    """Fields whose values make a matter, which is written once and then counted; None: every line is written."""
    again: float = 3600.0
    """Seconds after which a matter counts as new again."""
    kept: bool = False
    """Whether the event belongs to the life of a receiver, and is given to who ``keep`` has named."""

    def log(self, *, trace: BaseException | None = None, **fields: object) -> None:
        """Emit the event. An exception among the fields is shown as message and hint, ``trace`` with its traceback."""
        if not _LOGGER.isEnabledFor(self.level) and not (self.kept and _KEEPER):
            return
        shown = {k: _shown(v) for k, v in fields.items()}
        due: Due | None = Due(shown)
        if self.matter is not None:
            _REPEATING[self.name] = self
            matter = tuple(str(shown.get(field)) for field in self.matter)
            with _DECIDING:
                due = _NOTICES.take(self.name, matter, shown, time.monotonic(), self.again)
        if due is not None:
            self.write(due, trace)

    def write(self, due: Due, trace: BaseException | None = None) -> None:
        """Write a line, which may stand for several."""
        text, fields = self.text.format(**due.fields), due.fields
        if due.times > 1:
            most = due.senders.most_common(3)
            whose = ", ".join(f"{sender} {times}" for sender, times in most) + (", ..." if len(due.senders) > 3 else "")
            text += f" (one of {due.times} in {due.seconds:.0f} s" + (f", by sender: {whose})" if whose else ")")
            fields = fields | {"times": due.times, "seconds_counted": round(due.seconds), "by_sender": dict(most)}
        _LOGGER.log(self.level, text, exc_info=trace, extra={"event": self.name, "fields": fields})
        if self.kept and _KEEPER is not None:
            _KEEPER(self.name, self.level, text)


Keeper = Callable[[str, int, str], None]
"""Function that takes the name, level and text of an event. It is called in whatever thread logs the event."""

_KEEPER: Keeper | None = None
_NOTICES = Notices()
_REPEATING: dict[str, Event] = {}
_DECIDING = threading.Lock()  # threads emit events too


def reset() -> None:
    """Forget what was written and counted, because a new log begins."""
    global _NOTICES
    _NOTICES = Notices()
    _REPEATING.clear()


def keep(keeper: Keeper | None) -> None:
    """Have ``keeper`` called with each line of events that are ``kept``; None: nobody any more."""
    global _KEEPER
    _KEEPER = keeper


def flush(*, final: bool = False) -> None:
    """Write a line for each event that has been counted for long enough; ``final``: for all that have been counted.

    Call it every minute or so, and at the end of the process.
    """
    with _DECIDING:
        overdue = _NOTICES.overdue(time.monotonic(), final=final)
    for name, due in overdue:
        _REPEATING[name].write(due)


def _shown(value: object) -> object:
    if isinstance(value, BaseException):
        hint = getattr(value, "hint", "")
        return f"{str(value) or type(value).__name__}" + (f" ({hint})" if hint else "")
    return value


_I, _W, _E = logging.INFO, logging.WARNING, logging.ERROR

STARTED = Event("started", _I, "logsink {version} started as receiver {receiver}, store {store}")
STORE_NOT_REACHED = Event(
    "store_not_reached",
    _W,
    "the store cannot be used yet (try {tries}), trying again: {error}",
    ("error",),
    again=60.0,
)
STORE_REACHED = Event("store_reached", _I, "the store can be used, after {tries} tries")
STORE_ID = Event("store_id", _I, "the store is {id}, created {created}")
STORE_CREATED = Event("store_created", _I, "there was no store at {store}: created {id}")
MARKER_RESTORED = Event(
    "marker_restored",
    _W,
    "the store's marker, store.json, was missing: wrote one with the id that {by} names, {id}",
)
STORE_ABSENT = Event("store_absent", _E, "nothing is stored or acknowledged: {error}", kept=True)
STORE_BACK = Event("store_back", _I, "the store is back, {id}: storing and acknowledging go on", kept=True)
GIVEN_UP = Event("given_up", _W, "{why}: stopped before the store could be used: {error}")
LISTENING = Event("listening", _I, "listening on {address} ({transport})")
READY = Event("ready", _I, "ready")
WORKING = Event("working", _I, "ready with {workers} workers")
WORKER_ENDED = Event("worker_ended", _E, "worker {worker} is replaced after {seconds:g} s: {error}")
DRAINING = Event(
    "draining", _I, "{why}: draining; no new connections, up to {seconds:g} s for {connections} open ones", kept=True
)
HUNG_UP = Event(
    "hung_up",
    _I,
    "nothing to do at SIGHUP: changed TLS files are loaded anyway, settings are read at the start",
    (),
)
DRAIN_CUT = Event(
    "drain_cut", _W, "closed {connections} connections that were still sending after {seconds:.3g} s", kept=True
)
STOPPED = Event("stopped", _I, "stopped; everything received is stored")
NOT_STORED = Event("not_stored", _E, "stopped with {bytes} bytes received and not stored: {error}")
NOT_ARCHIVED = Event(
    "not_archived", _W, "stopped with {segments} segments in the journal; another receiver archives them"
)
FATAL = Event("fatal", _E, "cannot go on: {error}")
CRASHED = Event("crashed", _E, "unexpected error in {where}: {error}", ("where", "error"), kept=True)
FEW_FILES = Event(
    "few_files",
    _W,
    "only {limit} files may be open, so {connections} connections, not receive.max_connections (raise LimitNOFILE)",
)
REFUSED_FULL = Event(
    "refused_full",
    _W,
    "refused a connection from {sender}: {limit} are open, which is the limit by receive.max_connections or open files",
    ("sender",),
)
ACCEPT_FAILED = Event(
    "accept_failed",
    _W,
    "cannot accept connections on {address} ({transport}), trying again: {error}",
    ("address",),
    again=60.0,
)
REJECTION = Event(
    "rejected", _W, "closed a {transport} connection of {sender}: {reason}", ("transport", "sender", "kind")
)
BROKEN = Event("connection_broken", _W, "a {transport} connection of {sender} broke: {error}", ("transport", "sender"))
SHARE = Event(
    "share",
    _W,
    "reading of {sender} paused until more is stored: it holds more than its share of receive.memory_limit",
    ("sender",),
)
CERTIFICATES_LOADED = Event("certificates_loaded", _I, "changed TLS files loaded for new connections ({cert})")
CERTIFICATES_BROKEN = Event(
    "certificates_broken", _E, "changed TLS files rejected, the previous ones stay in use: {error}", kept=True
)
KEY_EXPOSED = Event("key_exposed", _W, "the private key {key} can be read by everybody on this machine (chmod o-rwx)")
CERTIFICATE_EXPIRING = Event(
    "certificate_expiring",
    _W,
    "the certificate of the TLS listeners ({cert}) is valid until {date}; senders refuse it from then on",
    kept=True,
)
SESSION_FAILED = Event(
    "session_failed", _W, "closed the {transport} session of {sender}: {error}", ("transport", "sender")
)
RELP_WINDOW = Event(
    "relp_window",
    _W,
    "{sender} has {frames} unacknowledged frames, and receive.relp_window is {limit}: set it to the largest windowSize of all "
    "RELP clients, or frames that a client sends again may be stored without the flag maybe_resent",
    ("sender",),
)
PAUSE = Event(
    "pause",
    _W,
    "reading paused: {bytes} bytes are not stored yet, receive.memory_limit is {limit}",
    (),
    again=60.0,
    kept=True,
)
RESUME = Event("resume", _I, "reading resumed after {seconds:.1f} s", (), again=60.0, kept=True)
UNFINISHED_CUT = Event(
    "unfinished_cut",
    _W,
    "cut an unfinished frame of {bytes} bytes from {sender}: unfinished frames have {total} bytes, the limit is {limit}",
    ("sender",),
)
UDP_LOST = Event("udp_lost", _W, "lost {datagrams} datagrams ({where})", kept=True)
CLOCK_SET_BACK = Event(
    "clock_set_back",
    _W,
    "this machine's clock was put back by {seconds:.3g} s; continuing as receiver {receiver}",
    (),
    again=60.0,
    kept=True,
)
RENEWED = Event(
    "renewed",
    _W,
    "the store's clock was not read for {seconds:g} s; continuing as receiver {receiver}",
    (),
    again=60.0,
    kept=True,
)
PUT_FAILED = Event("put_failed", _W, "cannot store segment {key}, trying again: {error}", (), again=60.0, kept=True)
PUT_RECOVERED = Event("put_recovered", _I, "segment {key} stored after {tries} tries", (), again=60.0, kept=True)
ARCHIVE_FAILED = Event(
    "archive_failed", _W, "archive round failed, trying again: {error}", ("error",), again=60.0, kept=True
)
COMMITTED = Event(
    "committed", _I, "committed version {version}: {rows} rows of {segments} segments in {files} files, {bytes} bytes"
)
SINGLE_DELETES = Event(
    "single_deletes",
    _W,
    "the store refused to delete several objects by one request; each gets a request of its own from now on: {error}",
)
QUARANTINE = Event("quarantine", _E, "copied unreadable object {key} to quarantine/: {error}", kept=True)
ADOPTION = Event("adopted", _I, "archived {segments} segments of receiver {receiver}, which is gone")
COMPACTION = Event(
    "compacted", _I, "committed version {version}: merged {files} files into {path}, {rows} rows, {bytes} bytes"
)
LOSS = Event("segment_lost", _E, "recorded as lost, so that what came after it can be archived: {damage}", kept=True)
DAMAGE = Event("damage", _E, "damaged or missing in the store: {damage}", ("damage",), again=3600.0, kept=True)
COMPACTION_PASSED = Event("compaction_passed", _W, "passed over a data file in merging: {error}", ("error",))
INDEX_FAILED = Event(
    "index_failed", _W, "cannot index data files, so that questions read more of them: {error}", ("error",), again=60.0
)
INDEXED = Event("indexed", _I, "joined the index of {date}: {objects} objects about {files} files, {bytes} bytes now")
INDEX_REMOVED = Event("index_removed", _I, "deleted {objects} objects of the index that are no longer needed")
CLOSED = Event("closed", _I, "wrote the ledger of {date}: {rows} rows in {files} files")
RETIRED = Event("retired", _I, "removed {files} files of {first} to {last}, {bytes} bytes, from the table")
REMOVED = Event("removed", _I, "deleted {files} data files that are no longer needed, {bytes} bytes")
MAINTENANCE_FAILED = Event(
    "maintenance_failed", _W, "maintenance failed, trying again: {error}", ("error",), again=60.0
)
ARCHIVE_DAMAGED = Event(
    "archive_damaged", _E, "messages are stored in the journal, but not archived: {error}", kept=True
)
CHECKPOINT_DAMAGED = Event(
    "checkpoint_damaged",
    _W,
    "the checkpoint of version {version} is damaged and passed over; an older one and the commits say the same: {error}",
)
MACHINE_CODE_REFUSED = Event(
    "machine_code_refused",
    _W,
    "kept machine code failed its test, so numba is loaded instead, which takes longer: "
    "install the versions of numba and llvmlite that logsink declares, and run python -m logsink.warm",
    (),
)
LANES_MADE_DORMANT = Event("lanes_made_dormant", _I, "made {lanes} lanes of {receivers} old receivers dormant")
CHECKPOINTED = Event("checkpointed", _I, "wrote a checkpoint of version {version}")


class _Lines(logging.Formatter):
    """Formats lines as ``2026-11-22T03:12:05.123Z INFO ready``, or as JSON objects."""

    def __init__(self, *, as_json: bool, worker: int) -> None:
        super().__init__()
        self._json, self._worker = as_json, {"worker": worker} if worker else {}
        self._prefix = f"worker {worker}: " if worker else ""

    def format(self, record: logging.LogRecord) -> str:
        time_text = (
            datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )
        text = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            sink = io.StringIO()
            traceback.print_exception(record.exc_info[1], file=sink)
            text += "\n" + sink.getvalue().rstrip()
        if not self._json:
            return f"{time_text} {record.levelname} {self._prefix}{text}"
        fields = getattr(record, "fields", {})
        line = {"time": time_text, "level": record.levelname.lower(), "event": getattr(record, "event", record.name)}
        return orjson.dumps(
            line | {"message": text} | self._worker | fields, default=str, option=orjson.OPT_NON_STR_KEYS
        ).decode()


def setup(worker: int = 0, *, level: str = "info", as_json: bool = False, stream: TextIO | None = None) -> None:
    """Write the own log to ``stream`` (default stderr) from ``level`` on: debug, info, warning, error or critical (none).

    Where the stream is full because nobody reads it, lines are dropped and counted. ``worker``: the number of this worker,
    which its lines then show; 0: there is only one.
    """
    reset()
    handler = PatientHandler(stream or sys.stderr, LINES_DROPPED.inc)
    handler.setFormatter(_Lines(as_json=as_json, worker=worker))
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level.upper())
