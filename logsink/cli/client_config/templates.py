"""Templates of configurations, and how one is filled in.

A template is a file in ``templates/``: the text as it will stand on the client, in which ``@name@`` stands for a value, and the
lines between ``%if NAME`` and ``%end`` stay only where NAME is true, those behind ``%else`` only where it is not. A line that
holds nothing but ``@name@`` takes a value of several lines, or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"@([a-z_]+)@")


def fill(template: str, values: Mapping[str, str | bool]) -> str:
    """Return the text of ``template`` with ``values`` in it. ``KeyError`` when it needs one that is not there."""
    lines = []
    for line in _chosen(_text(template).splitlines(), values):
        alone = _NAME.fullmatch(line.strip())
        if alone:
            lines += str(values[alone[1]]).splitlines()
        else:
            lines.append(_NAME.sub(lambda found: str(values[found[1]]), line))
    return "\n".join(lines) + "\n"


@cache
def _text(template: str) -> str:
    return files("logsink.cli.client_config").joinpath("templates", template).read_text(encoding="utf-8")


def _chosen(lines: list[str], values: Mapping[str, str | bool]) -> Iterator[str]:
    """Yield the lines whose conditions are all true."""
    conditions: list[bool] = []
    for line in lines:
        word, _, name = line.partition(" ")
        if word == "%if":
            conditions.append(bool(values[name]))
        elif word == "%else":
            conditions[-1] = not conditions[-1]
        elif word == "%end":
            conditions.pop()
        elif all(conditions):
            yield line
