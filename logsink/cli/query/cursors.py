"""The cursor of a query: where it comes from, and where it is kept."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from logsink.cli import report as reporting
from logsink.cli.query.request import FollowOptions
from logsink.errors import LogsinkError
from logsink.query import Cursor


class Cursors:
    """The cursor that a query begins after, and the file and the line on stderr that its cursors go to."""

    def __init__(self, options: FollowOptions) -> None:
        self._file, self._show, self._kept = options.cursor_file, options.show_cursor, ""
        self.first: str | None = options.after_cursor
        """Text of the cursor to begin after, from ``--after-cursor`` or else the file; None: from the beginning."""
        if self.first is None and self._file is not None and self._file.exists():
            self.first = self._file.read_text(encoding="ascii", errors="replace").strip()

    async def keep(self, cursor: Cursor, *, last: bool) -> None:
        """Write the cursor to the file, if it is a new one, and, when it is the last, to stderr.

        Everything up to the cursor must have been printed.
        """
        if self._file is not None and cursor.text != self._kept:
            await asyncio.to_thread(_replace, self._file, f"{cursor.text}\n")
            self._kept = cursor.text
        if self._show and last:
            reporting.say(f"cursor: {cursor.text}")


def _replace(file: Path, text: str) -> None:
    """Write the file, or leave it as it is. ``LogsinkError`` when it cannot be written."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="ascii")
        draft.replace(file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        cause = (error.strerror or str(error)).lower()
        hint = "what was shown is shown again from the old cursor; name a file that can be written"
        raise LogsinkError(f"cannot write the cursor to {file}: {cause}", hint=hint) from error
