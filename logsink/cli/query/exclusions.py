"""Options of ``logsink query`` that exclude or require each other, as two tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from logsink.cli.options import summaries
from logsink.cli.query.request import QueryRequest
from logsink.errors import ArgumentError
from logsink.query.output import FORMATS, OF_ROWS

SUMMARIES: Final = ("--count", "--stats", "--hist", "--top", "--values", "--patterns")
CONTEXTS: Final = ("--around", "-A, -B, -C", "--multiline")
CURSORS: Final = ("--after-cursor", "--follow", "--cursor-file")

PRESENT: Final[Mapping[str, Callable[[QueryRequest], bool]]] = {
    "--count": lambda request: request.summary.count,
    "--stats": lambda request: bool(request.summary.stats),
    "--hist": lambda request: bool(request.summary.hist),
    "--by": lambda request: bool(request.summary.by),
    "--top": lambda request: bool(request.summary.top),
    "--values": lambda request: bool(request.summary.values),
    "--patterns": lambda request: request.summary.patterns,
    "--around": lambda request: request.context.around is not None,
    "--around SPAN": lambda request: request.context.around_seconds is not None,
    "-A, -B, -C": lambda request: request.context.neighbours,
    "--context-by": lambda request: request.context.context_by is not None,
    "--multiline": lambda request: request.context.multiline,
    "--continues": lambda request: request.context.continues is not None,
    "--after-cursor": lambda request: request.follow.after_cursor is not None,
    "--follow": lambda request: request.follow.follow,
    "--cursor-file": lambda request: request.follow.cursor_file is not None,
    "--reverse": lambda request: request.reverse,
    "--connect": lambda request: request.connect is not None,
    "--explain": lambda request: request.explain,
    "--dedupe": lambda request: request.dedupe,
    "--sort received": lambda request: request.sort == "received",
    "--spreadsheet": lambda request: request.output.spreadsheet,
}
"""Option, as errors name it, and whether a request has it. Besides, a request has ``-o`` with its format."""

EXCLUSIONS: Final = (
    (SUMMARIES, SUMMARIES, "run a query for each"),
    (("--connect",), ("--explain",), "--explain says what would be read here"),
    (CONTEXTS, CONTEXTS, "run a query for each"),
    (("--reverse", "--explain", *SUMMARIES), CURSORS, "leave one of them out"),
    (CONTEXTS, (*CURSORS, "--dedupe", *SUMMARIES), "leave one of them out"),
    (("--sort received",), (*CONTEXTS, "--dedupe", *SUMMARIES), "leave one of them out"),
    (SUMMARIES, tuple(f"-o {name}" for name in OF_ROWS if name not in summaries.FORMATS), "write text, json or csv"),
    (
        ("--follow",),
        tuple(f"-o {name}" for name in OF_ROWS if FORMATS[name].needs_end),
        "a file of this format needs an end; write json or csv",
    ),
)
"""Options, others that do not go with any of them, and the remedy. The first row that a request breaks is its error."""

REQUIREMENTS: Final = (
    ("--by", ("--hist",), "--stats by=... counts without time"),
    ("--continues", ("--multiline",), "add -M"),
    ("--context-by", ("-A, -B, -C", "--around SPAN"), "add -C 5, for instance"),
    ("--spreadsheet", ("-o csv",), "add -o csv"),
)
"""Option, others of which it needs one, and the remedy."""


def conflicts(request: QueryRequest) -> Iterator[ArgumentError]:
    """Yield an error for each pair of options that exclude each other, and each option that lacks another."""
    present = {f"-o {request.output.output}", *(option for option, has in PRESENT.items() if has(request))}
    for options, others, hint in EXCLUSIONS:
        for option in options:
            for other in others:
                if option != other and {option, other} <= present:
                    yield ArgumentError(f"cannot use {option} with {other}", hint=hint)
    for option, needed, hint in REQUIREMENTS:
        if option in present and not present.intersection(needed):
            yield ArgumentError(f"cannot use {option} without {' or '.join(needed)}", hint=hint)


def check(request: QueryRequest) -> None:
    """Raise the first of ``conflicts``, if there is any."""
    for error in conflicts(request):
        raise error
