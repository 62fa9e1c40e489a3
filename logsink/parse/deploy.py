"""The deploy element of structured data: who ran what, as columns of their own."""

from __future__ import annotations

from typing import Final

from logsink.ascii import BACKSLASH, CLOSING_BRACKET, EQUALS, QUOTE, SPACE
from logsink.kernel import U8, Bytes, Grid32, ReadI32, kernel
from logsink.parse.rfc5424 import is_sd_name, skip_parameters, skip_quoted
from logsink.parse.scanning import begins_with, put_span, skip_spaces

NAMES: Final = ("environment", "role", "deploy", "instance")
"""Parameters of the element, each a column of that name, in the order of their numbers in kernels."""

_ENVIRONMENT = NAMES[0].encode()

_ROLE = NAMES[1].encode()

_DEPLOY = NAMES[2].encode()

_INSTANCE = NAMES[3].encode()


@kernel
def parameter_number(data: Bytes, p: int, end: int) -> int:
    """Return the number of the parameter whose name is ``data[p:end]``, its place in ``NAMES``, or -1."""
    if end - p == len(_ENVIRONMENT) and begins_with(data, p, end, _ENVIRONMENT):
        return 0
    if end - p == len(_ROLE) and begins_with(data, p, end, _ROLE):
        return 1
    if end - p == len(_DEPLOY) and begins_with(data, p, end, _DEPLOY):
        return 2
    if end - p == len(_INSTANCE) and begins_with(data, p, end, _INSTANCE):
        return 3
    return -1


@kernel
def extract(data: Bytes, starts: ReadI32, ends: ReadI32, sd_id: Bytes, values: U8, spans: Grid32) -> int:
    """Write the unescaped values of the parameters in ``NAMES`` to ``values`` and their places to ``spans``.

    Text i of structured data is ``data[starts[i]:ends[i]]``; its element ``sd_id`` counts. Row i of ``spans`` has start
    and end in ``values`` for each of ``NAMES``, -1 where there is none; of duplicates the first counts. ``values``
    holds as many bytes as all texts together. Returns the bytes written.
    """
    at = 0
    for i in range(len(starts)):
        for k in range(2 * len(NAMES)):
            spans[i, k] = -1
        p = starts[i]
        end = ends[i]
        while p < end:
            # Find where each element ends, and whether its SD-ID is the one.
            name = skip_spaces(data, p + 1, end)
            q = name
            while q < end and is_sd_name(data[q]):
                q += 1
            after = skip_parameters(data, q, end)
            if after < 0:
                break
            is_deploy = q - name == len(sd_id)
            for k in range(len(sd_id)):
                is_deploy = is_deploy and data[name + k] == sd_id[k]
            if is_deploy:
                at = copy_parameters(data, q, after - 1, values, at, spans, i)
            p = after
    return at


@kernel
def copy_parameters(data: Bytes, p: int, end: int, values: U8, at: int, spans: Grid32, i: int) -> int:
    """Write the values of one element, whose parameters are ``data[p:end]``; as ``extract`` for row ``i``.

    ``values`` is written from ``at`` on. Returns where the writing ended.
    """
    while True:
        p = skip_spaces(data, p, end)
        q = p
        while q < end and is_sd_name(data[q]):
            q += 1
        if q == p or q >= end or data[q] != EQUALS:
            return at
        # The value, in quotes or without.
        number = parameter_number(data, p, q)
        p = q + 1
        in_quotes = p < end and data[p] == QUOTE
        if in_quotes:
            stop = skip_quoted(data, p, end) - 1
            p += 1
        else:
            stop = p
            while stop < end and data[stop] != SPACE:
                stop += 1
        if stop < p:
            return at
        # The first value of a known parameter. A backslash before one of the three that need it goes.
        if number >= 0 and spans[i, 2 * number] < 0:
            put_span(spans, i, number, at, at)
            while p < stop:
                c = data[p]
                if (
                    in_quotes
                    and c == BACKSLASH
                    and (data[p + 1] == QUOTE or data[p + 1] == BACKSLASH or data[p + 1] == CLOSING_BRACKET)
                ):
                    p += 1
                values[at] = data[p]
                at += 1
                p += 1
            spans[i, 2 * number + 1] = at
        p = stop + 1 if in_quotes else stop
