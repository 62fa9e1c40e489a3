"""Bars of what was measured, as SVG: no library needed, and it can be read in a browser or a repository."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_ROW, _LEFT, _WIDE, _RIGHT, _HEAD = 26, 330, 420, 90, 40


def bars(title: str, unit: str, values: Sequence[tuple[str, float]]) -> str:
    """One bar for each (name, value), from 0; ``unit`` says what the values are."""
    most = max((value for _, value in values), default=0.0) or 1.0
    width, height = _LEFT + _WIDE + _RIGHT, _HEAD + _ROW * len(values) + 10
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="12" y="24" font-weight="bold">{escape(title)}, {escape(unit)}</text>',
    ]
    for number, (name, value) in enumerate(values):
        top, length = _HEAD + _ROW * number, _WIDE * max(value, 0.0) / most
        drawn += [
            f'<text x="{_LEFT - 8}" y="{top + 16}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{top + 3}" width="{length:.1f}" height="{_ROW - 8}" fill="#4477aa"/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{top + 16}">{value:g}</text>',
        ]
    return "\n".join([*drawn, "</svg>\n"])
