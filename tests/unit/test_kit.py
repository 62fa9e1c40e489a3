"""docs/kit/: manifests, rules and the dashboard name what there is, and fit each other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from logsink.config import load
from logsink.kinds import parse_duration
from logsink.receiver import proof

ROOT = Path(__file__).parents[2]
KIT = ROOT / "docs" / "kit"
RULES = KIT / "prometheus-rules.yaml"
DASHBOARD = json.loads((KIT / "grafana-dashboard.json").read_text(encoding="utf-8"))
MANIFESTS = {one["kind"]: one for one in yaml.safe_load_all((KIT / "kubernetes.yaml").read_text(encoding="utf-8"))}
OF_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total", "up"}
OF_TARGET = {"instance", "job", "le", "worker"}
"""Labels that Prometheus, histograms and workers add."""


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of rules and dashboard, with where it stands."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def exported() -> dict[str, set[str]]:
    """The name of every series that a receiver exports, with its labels: what docs/operations.md says of ``telemetry``."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for name, kind, labels in re.findall(r"^\| `(logsink_\w+)` \| (\w+) \| ([^|]*) \|", text, re.MULTILINE):
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            found[name + suffix] = set(re.findall(r"`(\w+)`", labels))
    return found


EXPORTED = exported()


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_metric_and_label_is_exported(where: str, expression: str) -> None:
    names = set(re.findall(r"\b(?:logsink|process)_[a-z_]+\b|\bup\b", expression)) - {"logsink"}
    assert names, where
    assert names <= set(EXPORTED) | OF_PROCESS, where
    labels = set(re.findall(r'(\w+)=~?"', expression))
    for grouping in re.findall(r"by \(([^)]*)\)", expression):
        labels |= {one.strip() for one in grouping.split(",")}
    known = OF_TARGET.union(*(EXPORTED.get(name, set()) for name in names))
    assert labels <= known, where
    assert expression.count("(") == expression.count(")")
    for counted in re.findall(r"\b(?:rate|increase)\((\w+)", expression):
        assert counted.endswith(("_total", "_bucket")), where


def test_the_check_would_notice() -> None:
    assert "logsink_no_such_total" not in EXPORTED
    assert EXPORTED["logsink_udp_lost_total"] >= {"where"}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_happens_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["action"]
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    names = re.findall(r"\blogsink_[a-z_]+\b", rule["expr"])
    assert used <= OF_TARGET.union(*(EXPORTED.get(name, set()) for name in names))


def test_alerts_of_the_documentation_are_among_the_rules() -> None:
    section = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("Alerts to set ")[2]
    shown = set(re.findall(r"\blogsink_[a-z_]+\b", section.partition("##")[0]))
    assert shown
    assert shown <= set(re.findall(r"\blogsink_[a-z_]+\b", RULES.read_text(encoding="utf-8")))


def test_promtool_accepts_the_rules() -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run([program, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_panels_do_not_overlap() -> None:
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


# --- Kubernetes


@pytest.fixture
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (one,) = pod["containers"]
    found: dict[str, Any] = one
    return found


def test_everything_selects_the_pods() -> None:
    labels = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        MANIFESTS["Deployment"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["Service"]["spec"]["selector"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["minAvailable"] < MANIFESTS["Deployment"]["spec"]["replicas"]
    assert set(MANIFESTS) == {"ServiceAccount", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}


def test_its_settings_are_accepted_and_its_ports_are_theirs(container: dict[str, Any], tmp_path: Path) -> None:
    text = MANIFESTS["ConfigMap"]["data"]["logsink.toml"]
    (tmp_path / "logsink.toml").write_text(text)
    config = load(tmp_path / "logsink.toml", {"HOME": "/"}, {})
    settings = tomllib.loads(text)["listen"]
    ports = {port["name"]: port for port in container["ports"]}
    assert set(ports) == set(settings)
    for name, addresses in settings.items():
        (address,) = [addresses] if isinstance(addresses, str) else addresses
        assert address == f"0.0.0.0:{ports[name]['containerPort']}"
        assert ports[name]["protocol"] == ("UDP" if name == "udp" else "TCP")
    for port in MANIFESTS["Service"]["spec"]["ports"]:
        assert ports[port["targetPort"]]["protocol"] == port["protocol"]
    mount = next(one for one in container["volumeMounts"] if one["name"] == "settings")
    assert f"LOGSINK_CONFIG={mount['mountPath']}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert config.receive.drain_timeout == 30.0


def test_there_is_time_to_drain(pod: dict[str, Any], container: dict[str, Any]) -> None:
    settings = tomllib.loads(MANIFESTS["ConfigMap"]["data"]["logsink.toml"])
    drain = parse_duration(settings["receive"]["drain_timeout"])
    (_, pause) = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > 3 * drain + int(pause)


def test_probes_ask_what_there_is_and_wait_long_enough(container: dict[str, Any]) -> None:
    paths = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {one["port"] for one in paths.values()} == {"http"}
    assert [one["path"] for one in paths.values()] == ["/healthz", "/healthz", "/readyz"]
    assert container["readinessProbe"]["timeoutSeconds"] > proof.PATIENCE


def test_it_runs_as_the_image_does(pod: dict[str, Any], container: dict[str, Any]) -> None:
    user = pod["securityContext"]["runAsUser"]
    assert f"USER {user}:{pod['securityContext']['runAsGroup']}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    volumes = {one["name"] for one in pod["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} == volumes
