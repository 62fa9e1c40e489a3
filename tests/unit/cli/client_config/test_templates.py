"""Templates: values and conditions."""

from __future__ import annotations

from importlib.resources import files

import pytest

from logsink.cli.client_config.bundle import KINDS
from logsink.cli.client_config.request import Request, Target, source, target
from logsink.cli.client_config.templates import fill


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("text", ["web", "$ROLE", "file:/etc/role", "ec2-tag:Role", "container-label:a.b/c-d"])
def test_nothing_of_a_template_is_left(kind: str, tls: bool, text: str) -> None:
    if kind == "syslog-ng" and text.startswith("container-label:"):
        text = "web"  # it knows none
    request = Request(Target("logs.internal", 1), tls=tls, identity={"role": source("role", text)})
    for file in KINDS[kind](request).files:
        for line in file.text.splitlines():
            assert not line.startswith("%"), (file.path, line)
            assert "@host@" not in line
            assert line == line.rstrip(), (file.path, line)


def test_every_template_is_well_formed() -> None:
    for template in files("logsink.cli.client_config").joinpath("templates").iterdir():
        depth = 0
        for line in template.read_text().splitlines():
            depth += line.startswith("%if ") - (line == "%end")
            assert depth >= 0
            assert not line.startswith("%") or line in ("%else", "%end") or line.startswith("%if ")
        assert depth == 0, template.name


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill("dropin.conf", {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("logs.internal", Target("logs.internal", 2515)),
        ("logs.internal:99", Target("logs.internal", 99)),
        ("[2001:db8::1]", Target("2001:db8::1", 2515)),
        ("[2001:db8::1]:99", Target("2001:db8::1", 99)),
        ("[::ffff:192.0.2.1]", Target("::ffff:192.0.2.1", 2515)),
        ("192.0.2.1", Target("192.0.2.1", 2515)),
        ("log_sink-1.internal.:99", Target("log_sink-1.internal.", 99)),
    ],
)
def test_targets(text: str, found: Target) -> None:
    assert target(text, "relp", True) == found
