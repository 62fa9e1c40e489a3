"""Which ids ``/readyz`` names."""

from __future__ import annotations

from logsink.receiver.named_ids import MOST, NamedIds


def test_the_newest_are_named_and_the_others_counted() -> None:
    one, other = NamedIds(), NamedIds()
    for number in range(MOST + 2):
        one.add(f"a{number}")
    other.add("b")
    detail = NamedIds.detail([one, other])
    assert detail == {"receivers": [*(f"a{number}" for number in range(2, MOST + 2)), "b"], "receivers_unnamed": 2}
    assert NamedIds.detail([other]) == {"receivers": ["b"], "receivers_unnamed": 0}
