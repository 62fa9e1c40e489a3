"""Configurations of agents: what their formats and scripts mean. The scripts in Lua are run here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

import lupa.lua51
import pytest
import yaml
from click.testing import CliRunner

from logsink.cli.client_config.bundle import KINDS
from logsink.cli.client_config.request import Request, Target, source
from logsink.cli.main import main
from logsink.parse import Settings, parse
from tests.support.frames import frames_of

LABELS = {"role": source("role", "web"), "deploy": source("deploy", "container-label:acme.com/deploy")}
ASKED = Request(Target("logs.internal", 6514), "tcp", True, identity=LABELS)


def text_of(kind: str, name: str, request: Request = ASKED) -> str:
    return next(file.text for file in KINDS[kind](request).files if file.path.endswith(name))


def test_docker_keeps_labels_in_the_journal_and_rsyslog_reads_them() -> None:
    assert json.loads(text_of("docker", "daemon.json")) == {
        "log-driver": "journald",
        "log-opts": {"labels": "acme.com/deploy", "tag": "{{.Name}}"},
    }
    compose = yaml.safe_load(text_of("docker", "compose.yaml"))
    assert compose["services"]["app"]["logging"] == compose["x-logsink"]
    assert compose["x-logsink"]["options"]["labels"] == "acme.com/deploy"
    reader = text_of("docker", "rsyslog.conf")
    assert "$!ACME_COM_DEPLOY" in reader
    assert 'module(load="imjournal"' in reader
    assert json.loads(text_of("docker", "daemon.json", Request(Target("logs.internal", 1))))["log-opts"] == {
        "tag": "{{.Name}}"
    }


def test_journald_discards_nothing_and_rsyslog_reads_it() -> None:
    assert "RateLimitIntervalSec=0" in text_of("journald", "journald.conf.d/logsink.conf")
    assert 'Ratelimit.Interval="0"' in text_of("journald", "rsyslog.conf")


@pytest.mark.parametrize("kind", ["vector", "otel-collector"])
def test_yaml_of_agents(kind: str) -> None:
    name = {"vector": "vector.yaml", "otel-collector": "config.yaml"}[kind]
    for tls in (False, True):
        request = Request(Target("logs.internal", 6514), "tcp", tls, cert="/c" * tls, key="/k" * tls, identity=LABELS)
        found = yaml.safe_load(text_of(kind, name, request))
        assert "logs.internal" in json.dumps(found)
        assert "logsink" in json.dumps(found) or "syslog" in found["exporters"]
    if kind == "otel-collector":
        statements = found["processors"]["transform"]["log_statements"][0]["statements"]
        assert 'set(attributes["structured_data"]["deploy@32473"]["role"], "web")' in statements
        used = {
            name for pipeline in found["service"]["pipelines"].values() for names in pipeline.values() for name in names
        }
        assert used == {*found["receivers"], *found["processors"], *found["exporters"]}
    else:
        assert found["sinks"]["logsink"]["inputs"] == list(found["transforms"])
        assert found["transforms"]["logsink"]["inputs"] == list(found["sources"])


@pytest.fixture
def lua(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Load a script as its agent does."""
    monkeypatch.setenv("LOG_DEPLOY", "host's")
    monkeypatch.setenv("LOG_INSTANCE", "i-1")
    monkeypatch.delenv("LOG_ENVIRONMENT", raising=False)

    def load(script: str) -> Any:
        runtime = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
        runtime.globals().os.getenv = os.environ.get  # C's copy of the environment is older
        runtime.execute(script)
        return runtime

    return load


def test_fluent_bit_makes_whole_frames(lua: Callable[[str], Any]) -> None:
    runtime = lua(text_of("fluent-bit", "logsink.lua"))
    pod = {"pod_name": "web-1", "container_name": "nginx", "labels": {"acme.com/deploy": "d]7"}}
    records = [
        {"MESSAGE": "two\nlines\n", "SYSLOG_IDENTIFIER": "app", "PRIORITY": "3", "_PID": 7, "_HOSTNAME": "h"},
        {"log": "from a pod\n", "stream": "stderr", "kubernetes": pod},
    ]
    time = runtime.table_from({"sec": 1767607200, "nsec": 123456789})
    made = [
        runtime.globals().logsink("tag", time, runtime.table_from(one, recursive=True))[2]["frame"] for one in records
    ]
    one, two = read(made)
    assert (one["message"], one["app"], one["severity"], one["procid"], one["host"]) == (
        "two\nlines",
        "app",
        3,
        "7",
        "h",
    )
    assert (one["role"], one["deploy"], one["instance"], one["time"].microsecond) == ("web", "host's", "i-1", 123456)
    assert (two["message"], two["host"], two["app"], two["severity"]) == ("from a pod", "web-1", "nginx", 3)
    assert (two["role"], two["deploy"], two["instance"]) == ("web", "d]7", "i-1")


def read(frames: list[str]) -> list[dict[str, Any]]:
    """What logsink makes of octet-counted frames with running numbers from 1."""
    bodies = []
    for frame in frames:
        length, _, body = frame.encode().partition(b" ")
        assert int(length) == len(body)
        bodies.append(body)
    found = parse(frames_of(bodies), Settings(), "r").table().to_pylist()
    for number, row in enumerate(found, 1):
        assert f'seq="{number}"' in row["structured_data"]
        assert re.search(r' boot="[0-9a-f]{32}\.[0-9a-f]{12}"', row["structured_data"])
    return found


def test_vector_makes_whole_frames(lua: Callable[[str], Any]) -> None:
    script = yaml.safe_load(text_of("vector", "vector.yaml"))["transforms"]["logsink"]["source"]
    runtime = lua(script)
    time = {"year": 2026, "month": 1, "day": 5, "hour": 10, "min": 0, "sec": 0, "nanosec": 123456000}
    pod = {"pod_name": "web-1", "container_name": "nginx", "pod_labels": {"acme.com/deploy": 'd]"7'}}
    events = [
        {"log": {"message": "päid", "host": "web 1", "SYSLOG_IDENTIFIER": "app", "PRIORITY": "3", "timestamp": time}},
        {"log": {"message": "two\nlines", "stream": "stderr", "kubernetes": pod, "timestamp": time}},
    ]
    frames: list[str] = []
    for event in events:
        record = runtime.table_from(event, recursive=True)
        runtime.globals().logsink(record, lambda made: frames.append(made["log"]["message"]))
    one, two = read(frames)
    assert (one["message"], one["host"], one["app"], one["severity"], one["deploy"]) == (
        "päid",
        "web_1",
        "app",
        3,
        "host's",
    )
    assert (two["message"], two["host"], two["app"], two["severity"]) == ("two\nlines", "web-1", "nginx", 3)
    assert (two["role"], two["deploy"], two["instance"], one["time"].microsecond) == ("web", 'd]"7', "i-1", 123456)


@pytest.mark.parametrize("kind", ["fluent-bit", "vector", "otel-collector"])
def test_kubernetes(kind: str, tmp_path: Any) -> None:
    for name in ("ca.crt", "client.crt", "client.key"):
        (tmp_path / name).write_text(f"-----BEGIN {name}-----\n")
    arguments = [
        "client-config",
        kind,
        "--target",
        "logs.internal",
        "--certificates",
        str(tmp_path),
        "--format",
        "kubernetes",
    ]
    made = CliRunner().invoke(main, arguments)
    assert made.exit_code == 0, made.output
    documents = {one["kind"]: one for one in yaml.safe_load_all(made.stdout)}
    assert set(documents) >= {"ConfigMap", "Secret", "DaemonSet", "ServiceAccount", "ClusterRoleBinding"}
    pod = documents["DaemonSet"]["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert volumes == {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    mounted = next(m["mountPath"] for m in pod["containers"][0]["volumeMounts"] if m["name"] == "configuration")
    assert pod["containers"][0]["args"][-1] in {f"{mounted}/{name}" for name in documents["ConfigMap"]["data"]}
    assert set(documents["Secret"]["stringData"]) == {"ca.crt", "client.crt", "client.key"}


def test_what_a_kind_cannot_do_is_said() -> None:
    for arguments, told in (
        (("rsyslog", "--format", "kubernetes"), "fluent-bit, vector and otel-collector run in clusters"),
        (("vector", "--protocol", "relp"), "cannot send by RELP: vector does not speak it"),
        (("syslog-ng", "--deploy", "container-label:a"), "syslog-ng does not know them"),
    ):
        result = CliRunner().invoke(main, ["client-config", *arguments, "--target", "logs.internal"])
        assert (result.exit_code, told in result.stderr) == (2, True), result.output
