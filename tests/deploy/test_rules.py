"""The rules for Prometheus are valid, do what their unit tests say, and every one of them is tested and explained."""

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.receivers import SHIPPED
from tests.programs import prometheus_program

ROOT = SHIPPED.parent
PROMETHEUS = SHIPPED / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
ANNOTATIONS = {"summary", "description", "dashboard_url", "runbook_url"}
RUNBOOKS = ROOT / "docs/alerts.md"
DOCUMENTED = ("docs/rag.md", "docs/operations.md", "docs/alerts.md")


@dataclass(frozen=True)
class Alert:
    name: str
    severity: str
    rule: dict[str, Any]


@cache
def rules() -> list[dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[Alert]:
    return [Alert(rule["alert"], rule["labels"].get("severity", ""), rule) for rule in rules() if "alert" in rule]


@cache
def unit_tests() -> list[dict[str, Any]]:
    return [test for path in UNIT_TESTS for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]]


def promtool(*arguments: str, folder: Path = PROMETHEUS) -> None:
    done = subprocess.run(
        [prometheus_program("promtool"), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def firing(alert: Alert) -> list[int]:
    """Return how often a unit test expects this alert to fire, and how often it expects that it does not."""
    selector = re.compile(rf'alertname="{alert.name}"(?!.*"pending")(.*severity="(\w+)")?')
    counts = [0, 0]
    for check in (check for test in unit_tests() for check in test.get("promql_expr_test", [])):
        found = selector.search(check["expr"])
        if found and (found[2] or alert.severity) == alert.severity:
            counts[not check["exp_samples"]] += 1
    return counts


def test_the_configuration_is_valid() -> None:
    promtool("check", "config", "prometheus.yml")


def test_the_rules_are_valid() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *(str(path) for path in RULES))


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_unit_tests_say(path: Path) -> None:
    promtool("test", "rules", path.name, folder=path.parent)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_every_alert_has_a_unit_test(alert: Alert) -> None:
    fires, rests = firing(alert)
    assert fires, "no unit test sees it fire"
    assert rests, "no unit test sees it rest"


def test_the_text_of_every_alert_is_tested() -> None:
    checks = [check for test in unit_tests() for check in test.get("alert_rule_test", [])]
    told = {check["alertname"] for check in checks if check["exp_alerts"]}
    assert {alert.name for alert in alerts()} == told


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_every_alert_says_how_bad_it_is_and_what_to_do(alert: Alert) -> None:
    annotations = alert.rule["annotations"]
    assert alert.severity in {"warning", "critical"}
    assert annotations.keys() >= ANNOTATIONS
    anchor = annotations["runbook_url"].split("#")[1]
    assert anchor == alert.name.lower()
    assert f"\n### {alert.name}\n" in RUNBOOKS.read_text(encoding="utf-8")
    if alert.name.startswith(("Rag", "Service")):
        assert annotations.keys() >= {"traces", "page_url"}


def test_no_runbook_is_of_an_alert_that_is_gone() -> None:
    explained = re.findall(r"^### (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(explained) == sorted({alert.name for alert in alerts()})


def test_every_recorded_figure_is_tested() -> None:
    checked = " ".join(check["expr"] for test in unit_tests() for check in test.get("promql_expr_test", []))
    used = " ".join(rule["expr"] for rule in rules())
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert [name for name in sorted(recorded) if name not in checked and name not in used] == []


def test_every_metric_that_a_rule_reads_is_documented() -> None:
    documents = "".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTED)
    documented = re.sub(r"\{(spans),(metric_points),(log_records)\}", r"spans", documents)
    unknown = set()
    for rule in rules():
        for name in re.findall(r"(?<![:\w])(?:rag|otelcol|ganglion|traces)_\w+(?![:\w])", rule["expr"]):
            base = re.sub(r"_(metric_points|log_records)$", "_spans", name)
            if not any(re.sub(end, "", base) in documented for end in ("$", "_total$", "_(bucket|sum|count)$")):
                unknown.add(name)
    assert unknown - {"ganglion_exporter"} == set()  # the name of a job


def test_every_command_has_the_options_it_uses() -> None:
    commands = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    used = [alert.rule["annotations"].get("traces", "") for alert in alerts()]
    for command in used:
        if not (match := re.match(r"ganglion ((?:dead-letters )?\w+)", command)):
            assert command == "" or command.startswith('psql "$(ganglion dsn)" -c ')
            continue
        section = commands.split(f"\n## ganglion {match[1]}\n")[1].split("\n## ")[0]
        assert all(option in section for option in re.findall(r"--\w+", command))


def test_a_name_that_a_service_chose_runs_nothing() -> None:
    for alert in alerts():
        for label in re.findall(r"\{\{ \$labels\.[^}]*\}\}", alert.rule["annotations"].get("traces", "")):
            assert label.endswith('| reReplaceAll "[^a-zA-Z0-9_.-]" "_" }}')


def test_the_dashboards_that_alerts_lead_to_exist() -> None:
    for alert in alerts():
        link = re.search(r"/d/([\w-]+)(?:\?var-(\w+)=)?", alert.rule["annotations"]["dashboard_url"])
        assert link
        dashboard = json.loads((SHIPPED / f"grafana/dashboards/{link[1]}.json").read_text(encoding="utf-8"))
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        assert dashboard["uid"] == link[1]
        assert link[2] is None or link[2] in variables
