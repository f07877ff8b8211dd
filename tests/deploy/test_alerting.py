"""Planted faults make every alert fire in a real Prometheus and arrive through a real Alertmanager, with its links."""

import re
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collector.otlp_requests import logs
from tests.deploy.receivers import SHIPPED, configured, receiving, served
from tests.fix_alertmanager import MakeAlertmanager
from tests.fix_collector import MakeCollector, eventually, simple
from tests.fix_prometheus import MakePrometheus
from tests.programs import free_port

WINDOW = "3s"
SERVICE = 'job="shop/answers",instance="1"'
SPAN = 'service_name="{0}",span_name="GET /",span_kind="SPAN_KIND_SERVER"'
EXPORTER = 'exporter="postgresql",data_type="logs"'
# What grows by so much a second. `answers` and `shop` fail so often that it is critical, `slow` that it is a warning.
COUNTERS = {
    f'rag_requests_total{{{SERVICE},layer="generation",status="success"}}': 70,
    f'rag_requests_total{{{SERVICE},layer="generation",status="error"}}': 30,
    f'rag_errors_total{{{SERVICE},layer="generation",error_type="Timeout"}}': 30,
    'rag_requests_total{job="slow",layer="generation",status="success"}': 90,
    'rag_errors_total{job="slow",layer="generation",error_type="Timeout"}': 10,
    f'rag_request_latency_ms_bucket{{{SERVICE},layer="generation",operation="answer",le="2000"}}': 90,
    f'rag_request_latency_ms_bucket{{{SERVICE},layer="generation",operation="answer",le="5000"}}': 100,
    f'rag_request_latency_ms_bucket{{{SERVICE},layer="generation",operation="answer",le="+Inf"}}': 100,
    f"rag_claims_total{{{SERVICE}}}": 100,
    f"rag_hallucinated_claims_total{{{SERVICE}}}": 20,
    f'rag_cache_misses_total{{{SERVICE},cache="embeddings"}}': 90,
    f'rag_cache_hits_total{{{SERVICE},cache="embeddings"}}': 10,
    f'traces_span_metrics_calls_total{{{SPAN.format("shop")},status_code="STATUS_CODE_UNSET"}}': 70,
    f'traces_span_metrics_calls_total{{{SPAN.format("shop")},status_code="STATUS_CODE_ERROR"}}': 30,
    f'traces_span_metrics_calls_total{{{SPAN.format("cart")},status_code="STATUS_CODE_UNSET"}}': 90,
    f'traces_span_metrics_calls_total{{{SPAN.format("cart")},status_code="STATUS_CODE_ERROR"}}': 10,
    f'traces_span_metrics_duration_milliseconds_bucket{{{SPAN.format("shop")},le="2000"}}': 90,
    f'traces_span_metrics_duration_milliseconds_bucket{{{SPAN.format("shop")},le="5000"}}': 100,
    f'traces_span_metrics_duration_milliseconds_bucket{{{SPAN.format("shop")},le="+Inf"}}': 100,
    'otelcol_receiver_refused_spans{receiver="otlp",transport="grpc"}': 5,
    'otelcol_receiver_failed_log_records{receiver="otlp",transport="http"}': 5,
    f"otelcol_exporter_send_failed_log_records{{{EXPORTER}}}": 5,
    f'ganglion_exporter_dead_lettered_items_total{{{EXPORTER},reason="permanent"}}': 5,
    'ganglion_process_restarts_total{process="receiver"}': 5,
    'ganglion_component_overflow_items_total{component="span_metrics",data_type="traces"}': 5,
    "ganglion_prometheus_overflowed_points_total": 5,
    'ganglion_prometheus_dropped_points_total{reason="type_conflict"}': 5,
    'alertmanager_notifications_failed_total{integration="slack"}': 5,
    'prometheus_rule_evaluation_failures_total{rule_group="rag"}': 5,
}
GAUGES = {
    'ganglion_component_healthy{component="receiver:otlp"}': 0,
    "ganglion_journal_size_bytes": 97,
    "ganglion_journal_quota_bytes": 100,
    'ganglion_journal_size_bytes{instance="second"}': 85,
    'ganglion_journal_quota_bytes{instance="second"}': 100,
    f"ganglion_exporter_oldest_waiting_timestamp_seconds{{{EXPORTER}}}": time.time() - 600,
}


class FaultyPages(BaseHTTPRequestHandler):
    """What a collector in every kind of trouble would show: of the services at `/services`, of itself elsewhere."""

    began = time.monotonic()

    def do_GET(self) -> None:
        seconds = time.monotonic() - self.began
        samples = {name: rate * seconds for name, rate in COUNTERS.items()} | GAUGES
        of_services = self.path == "/services"
        shown = {name: samples[name] for name in samples if name.startswith(("rag_", "traces_")) == of_services}
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write("".join(f"{name} {value}\n" for name, value in shown.items()).encode())

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002


def shortened(folder: Path) -> list[str]:
    """Write the rules with short windows and without waiting; their paths."""
    folder.mkdir()
    for path in (SHIPPED / "prometheus/rules").glob("*.yml"):
        text = re.sub(r"(\[|offset )\d+[mh]", rf"\g<1>{WINDOW}", path.read_text(encoding="utf-8"))
        (folder / path.name).write_text(re.sub(r"for: \d+m", "for: 500ms", text), encoding="utf-8")
    return [str(path) for path in folder.iterdir()]


def prometheus_configuration(folder: Path, page: str, alertmanager: str) -> str:
    """Return what is shipped, with these addresses and fast; `prometheus` is where nobody answers."""
    config = yaml.safe_load((SHIPPED / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    targets = {"ganglion_exporter": page, "ganglion": page, "alertmanager": alertmanager, "prometheus": "127.0.0.1:1"}
    config["global"] |= {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "500ms"}
    config["rule_files"] = shortened(folder)
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    for scrape in config["scrape_configs"]:
        scrape["static_configs"][0]["targets"] = [targets[scrape["job_name"]].removeprefix("http://")]
        scrape["metrics_path"] = "/services" if scrape["job_name"] == "ganglion_exporter" else "/metrics"
        scrape["honor_labels"] = True  # the page shows two collectors at once
    return str(yaml.safe_dump(config))


def every_alert() -> set[tuple[str, str]]:
    groups = [
        group
        for path in (SHIPPED / "prometheus/rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    return {
        (rule["alert"], rule["labels"]["severity"]) for group in groups for rule in group["rules"] if "alert" in rule
    }


def told(texts: list[str]) -> set[tuple[str, str]]:
    """Return the alerts that messages tell of: the runbook names it, the title its severity."""
    names = {name.lower(): name for name, _ in every_alert()}
    found = set()
    for text in texts:
        title, *_ = text.splitlines()
        for anchor in re.findall(r"docs/alerts\.md#(\w+)", text):
            found.add((names[anchor], "critical" if "critical]" in title else "warning"))
    return found


@pytest.mark.timeout(120)
def test_every_planted_fault_reaches_slack_and_the_mailbox(
    prometheus: MakePrometheus, alertmanager: MakeAlertmanager, tmp_path: Path
) -> None:
    with receiving() as received, served(FaultyPages) as page:
        router = alertmanager(configured(received, tmp_path / "alertmanager"))
        server = prometheus(prometheus_configuration(tmp_path / "rules", page, router.url.removeprefix("http://")))

        def missing() -> set[tuple[str, str]]:
            return every_alert() - (told(received.slack_texts()) & told(received.mail_texts()))

        try:
            eventually(lambda: not missing(), 60)
        except AssertionError:
            pytest.fail(f"not told: {sorted(missing())}\n{server.logs()[-2000:]}\n{router.logs()[-2000:]}")

        text = "\n".join(received.mail_texts())
        assert "ganglion logs --service answers --level error --since 2" in text
        assert "http://localhost:8484/?service=answers&level=error" in text
        assert "http://localhost:3000/d/ganglion-overview?var-service=answers" in text
        labels = {name for alert in router.alerts() for name in alert["labels"]}
        assert not {"ganglion_url", "grafana_url", "runbooks"} & labels


@pytest.mark.timeout(90)
def test_a_collector_whose_destination_is_down_is_told(
    collector: MakeCollector, prometheus: MakePrometheus, tmp_path: Path
) -> None:
    again = "retry_on_failure: {initial_interval: 200ms, max_interval: 200ms}"
    exporter = f'{{otlp_http: {{endpoint: "http://127.0.0.1:{free_port()}", {again}}}}}'
    running = collector(simple(exporter, "logs: [otlp_http]"))
    running.start()
    assert running.post("/v1/logs", logs().SerializeToString()) == 200

    configuration = prometheus_configuration(tmp_path / "rules", running.address("metrics"), "127.0.0.1:1")
    server = prometheus(configuration)
    for name in ("GanglionComponentUnhealthy", "GanglionExportFailing"):
        server.wait_for(f'ALERTS{{alertname="{name}", alertstate="firing"}}')
    assert server.query('ALERTS{alertname!~"Ganglion(ComponentUnhealthy|ExportFailing|TargetDown)"}') == []
