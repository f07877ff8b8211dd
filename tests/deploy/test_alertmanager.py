"""Alerts take the right way to Slack and e-mail, say what is needed, and none is lost silently."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ganglion_query.times import parse_time

from tests.deploy.receivers import SHIPPED, Received, configured, receiving
from tests.fix_alertmanager import MakeAlertmanager
from tests.fix_collector import eventually
from tests.programs import prometheus_program

CONFIG = SHIPPED / "alertmanager/alertmanager.yml"
LINKS = {
    "page_url": "http://ganglion.test/?service=answers&level=error",
    "dashboard_url": "http://grafana.test/d/ganglion-overview?var-service=answers",
    "runbook_url": "docs/alerts.md#ragerrorratehigh",
}
COMMAND = "ganglion logs --service answers --level error"


def amtool(*arguments: str) -> str:
    done = subprocess.run([prometheus_program("amtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alert(name: str, severity: str, summary: str = "something", **labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": summary, "description": f"{summary}, in detail", "traces": COMMAND, **LINKS},
    }


@pytest.fixture
def received() -> Iterator[Received]:
    with receiving() as received:
        yield received


def test_the_configuration_is_valid() -> None:
    amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "critical"), ("warning", "warning"), ("", "warning")])
def test_the_severity_chooses_the_receiver(severity: str, receiver: str) -> None:
    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", f"severity={severity}").strip() == receiver


def test_no_secret_is_in_the_configuration() -> None:
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["global"]
    assert {"slack_api_url_file", "smtp_auth_password_file"} <= settings.keys()
    assert not {"slack_api_url", "smtp_auth_password"} & settings.keys()


def test_an_alert_reaches_slack_and_a_mailbox_with_the_way_to_its_traces(
    received: Received, alertmanager: MakeAlertmanager, tmp_path: Path
) -> None:
    server = alertmanager(configured(received, tmp_path / "configuration"))
    server.send(alert("RagErrorRateHigh", "critical", "answers: 30% fail", service="answers"))
    eventually(lambda: bool(received.slack and received.mail))

    (slack,), (mail,), (html,) = received.slack_texts(), received.mail_texts(), received.html()
    for text in (slack, mail):
        assert text.startswith("[FIRING critical] answers: 30% fail\n")
        assert "answers: 30% fail, in detail" in text
        assert f"{COMMAND} --since 2" in text
        assert "docs/alerts.md#ragerrorratehigh" in text
    assert "<http://ganglion.test/?service=answers&amp;level=error|Traces and logs>" in slack
    assert "<http://grafana.test/d/ganglion-overview?var-service=answers|Dashboard>" in slack
    assert "http://ganglion.test/?service=answers&level=error" in mail
    assert 'href="http://ganglion.test/?service=answers&amp;level=error"' in html
    assert received.slack[0]["channel"] == "#alerts"
    assert received.slack[0]["attachments"][0]["color"] == "danger"


def test_the_command_names_a_time_an_hour_before_the_alert(
    received: Received, alertmanager: MakeAlertmanager, tmp_path: Path
) -> None:
    server = alertmanager(configured(received, tmp_path / "configuration"))
    start = "2026-11-20T15:00:00Z"
    server.send({**alert("A", "warning"), "startsAt": start, "endsAt": "2099-01-01T00:00:00Z"})
    eventually(lambda: bool(received.slack))
    since = received.slack_texts()[0].split("--since ")[1].split("```")[0]
    assert parse_time(since, datetime.now(UTC)) == datetime(2026, 11, 20, 14, tzinfo=UTC)


def test_the_end_of_an_alert_is_told(received: Received, alertmanager: MakeAlertmanager, tmp_path: Path) -> None:
    server = alertmanager(configured(received, tmp_path / "configuration"))
    server.send(alert("A", "warning", "it breaks"))
    eventually(lambda: len(received.slack) == len(received.mail) == 1)
    server.send({**alert("A", "warning", "it breaks"), "endsAt": datetime.now(UTC).isoformat()})
    eventually(lambda: len(received.slack) == len(received.mail) == 2)
    assert received.slack_texts()[1].startswith("[RESOLVED] it breaks\n")
    assert received.mail_texts()[1].startswith("[RESOLVED] it breaks\n")
    assert received.slack[1]["attachments"][0]["color"] == "good"


def test_alerts_of_one_service_come_in_one_message(
    received: Received, alertmanager: MakeAlertmanager, tmp_path: Path
) -> None:
    server = alertmanager(configured(received, tmp_path / "configuration"))
    server.send(*(alert("A", "warning", f"number {i}", service="answers", layer=f"layer-{i:02}") for i in range(12)))
    eventually(lambda: bool(received.slack and received.mail))
    (slack,), (mail,) = received.slack_texts(), received.mail_texts()
    assert slack.startswith("[FIRING warning] A in answers: 12 alerts\n")
    assert slack.count("in detail") == 10
    assert "These are 10 of 12; all are in <http" in slack
    assert mail.count("in detail") == 12


def test_markup_in_what_a_service_sent_stays_text(
    received: Received, alertmanager: MakeAlertmanager, tmp_path: Path
) -> None:
    server = alertmanager(configured(received, tmp_path / "configuration"))
    server.send(alert("A", "warning", "<!channel> <script>alert(1)</script> & more\r\nBcc: x@example.org"))
    eventually(lambda: bool(received.slack and received.mail))
    assert "&lt;!channel&gt; &lt;script&gt;" in received.slack[0]["attachments"][0]["text"]
    assert "<script>" not in received.html()[0]
    assert received.mail[0]["Bcc"] is None


@pytest.mark.parametrize(
    ("cause", "told", "silent"),
    [
        (alert("J", "critical", job="a"), alert("J", "critical", job="b"), alert("J", "warning", job="a")),
        (
            alert("RagErrorRateHigh", "warning", service="a"),
            alert("ServiceErrorRateHigh", "warning", service="b"),
            alert("ServiceErrorRateHigh", "critical", service="a"),
        ),
        (
            alert("RagLatencyHigh", "warning", service="a"),
            alert("ServiceErrorRateHigh", "warning", service="a"),
            alert("ServiceLatencyHigh", "warning", service="a"),
        ),
        (
            alert("GanglionTargetDown", "critical", job="ganglion", instance="a:8888", extent="one"),
            alert("GanglionJournalNearlyFull", "critical", instance="b:8888"),
            alert("GanglionJournalNearlyFull", "critical", instance="a:8888"),
        ),
        (
            alert("GanglionTargetDown", "critical", job="ganglion", instance="a:8888", extent="all"),
            alert("RagErrorRateHigh", "critical", service="a"),
            alert("GanglionExportLag", "warning", instance="a:8888"),
        ),
        (
            alert("GanglionTargetDown", "critical", job="ganglion_exporter", extent="all"),
            alert("GanglionTargetDown", "critical", job="prometheus", extent="all"),
            alert("RagErrorRateHigh", "critical", service="a"),
        ),
        (
            alert("GanglionTargetDown", "critical", job="ganglion_exporter", extent="all"),
            alert("GanglionAlertsUndelivered", "critical"),
            alert("ServiceLatencyHigh", "warning", service="a"),
        ),
    ],
    ids=["critical", "rag-errors", "rag-latency", "one-down", "ganglion-down", "exporters-down", "way-of-alerts"],
)
def test_what_follows_from_another_alert_is_silent(
    cause: dict[str, Any],
    told: dict[str, Any],
    silent: dict[str, Any],
    received: Received,
    alertmanager: MakeAlertmanager,
    tmp_path: Path,
) -> None:
    server = alertmanager(configured(received, tmp_path / "configuration"))
    server.send(cause, told, silent)

    def states() -> dict[str, str]:
        return {json.dumps(one["labels"], sort_keys=True): one["status"]["state"] for one in server.alerts()}

    def state(one: dict[str, Any]) -> str:
        return states()[json.dumps(one["labels"], sort_keys=True)]

    eventually(lambda: len(states()) == 3)
    # What silences an alert is told to that part of the server by and by.
    eventually(lambda: state(silent) == "suppressed")
    assert [state(one) for one in (cause, told, silent)] == ["active", "active", "suppressed"]


def test_one_exporter_of_several_that_is_down_silences_no_service(
    received: Received, alertmanager: MakeAlertmanager, tmp_path: Path
) -> None:
    server = alertmanager(configured(received, tmp_path / "configuration"))
    server.send(
        alert("GanglionTargetDown", "critical", job="ganglion_exporter", extent="one"),
        alert("RagErrorRateHigh", "critical", service="a"),
    )
    eventually(lambda: [one["status"]["state"] for one in server.alerts()] == ["active", "active"])


@pytest.mark.parametrize(("missing", "integration"), [("slack_api_url", "slack"), ("smtp_password", "email")])
def test_a_missing_secret_is_told_and_the_other_way_works(
    missing: str, integration: str, received: Received, alertmanager: MakeAlertmanager, tmp_path: Path
) -> None:
    config = configured(received, tmp_path / "configuration")
    (config.parent / "secrets" / missing).unlink()
    server = alertmanager(config)
    server.send(alert("A", "critical"))

    other = received.mail if integration == "slack" else received.slack
    eventually(lambda: bool(other))
    eventually(lambda: failures(server.metrics(), integration) > 0, 15)  # attempts go on for 10 s
    assert missing in server.logs()


def failures(page: str, integration: str) -> float:
    name = f'alertmanager_notifications_failed_total{{integration="{integration}"}}'
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))
