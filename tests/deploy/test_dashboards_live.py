"""Every panel shows something while the example service is used, with real Prometheus and PostgreSQL behind it."""

import asyncio
import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from examples import rag_demo, running
from tests.deploy import grafana_files
from tests.deploy.grafana_files import Asked, asked, dashboards, database, variables
from tests.deploy.receivers import SHIPPED
from tests.fix_collector import HEADER, TELEMETRY, RunningCollector, eventually
from tests.fix_prometheus import RunningPrometheus

pytestmark = pytest.mark.timeout(90)

WINDOW = "10s"
COLLECTOR = """\
connectors:
  span_metrics: {{metrics_flush_interval: 500ms}}
exporters:
  postgresql: {{dsn: {dsn}}}
  prometheus: {{endpoint: "127.0.0.1:0"}}
service:
  extensions: [health_check]
  pipelines:
    traces: {{receivers: [otlp], exporters: [postgresql, span_metrics]}}
    logs: {{receivers: [otlp], exporters: [postgresql]}}
    metrics: {{receivers: [otlp, span_metrics], exporters: [prometheus]}}
"""

FAULTS = "counted from the first fault on, and there was none"
EMPTY: dict[tuple[str, str], str] = {}
"""Panels, and of some the legend of the one query, that show nothing; and why."""


@dataclass(frozen=True)
class Live:
    prometheus: RunningPrometheus
    database: str
    traces: set[str]
    started: float
    ended: float

    @property
    def span(self) -> str:
        return f"{math.ceil(self.ended - self.started)}s"

    def values(self, expression: str) -> list[float]:
        """Return all values that a graph of the whole time would show."""
        text = grafana_files.promql(expression, window=WINDOW, span=self.span)
        found = self.prometheus.get(
            "/api/v1/query_range", query=text, start=str(self.started), end=str(self.ended), step="1"
        )
        return [float(value) for series in found["result"] for _, value in series["values"] if value != "NaN"]


def prometheus_text(collector: RunningCollector, folder: Path) -> str:
    """Return the shipped configuration, which scrapes this collector, and often."""
    shipped = yaml.safe_load((SHIPPED / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    shipped["global"] |= {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "1s"}
    shipped["rule_files"] = [str(SHIPPED / "prometheus" / "rules" / "*.yml")]
    targets = {"ganglion_exporter": "prometheus", "ganglion": "metrics"}
    shipped["scrape_configs"] = [job for job in shipped["scrape_configs"] if job["job_name"] in targets]
    for job in shipped["scrape_configs"]:
        job["static_configs"] = [{"targets": [collector.address(targets[job["job_name"]])]}]
    del shipped["alerting"]
    return yaml.safe_dump(shipped)


@pytest.fixture(scope="module")
def live(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    with database(postgresql_server) as dsn:
        collector = RunningCollector(HEADER + COLLECTOR.format(dsn=json.dumps(dsn)) + TELEMETRY, folder / "home")
        prometheus: RunningPrometheus | None = None
        try:
            collector.start()
            (folder / "prometheus").mkdir()
            prometheus = RunningPrometheus(prometheus_text(collector, folder), folder / "prometheus", ())
            prometheus.start().wait_for('up{job="ganglion_exporter"} == 1')
            yield use(collector, prometheus, dsn)
        finally:
            if prometheus is not None:
                prometheus.close()
            collector.close()


def use(collector: RunningCollector, prometheus: RunningPrometheus, dsn: str) -> Live:
    """Use the example service, until all of it is where the dashboards read."""
    started = time.time()
    variables = rag_demo.otel_variables({"otlp/grpc": collector.address("otlp/grpc")}, "grpc") | {
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "GANGLION_LOG_LEVEL": "DEBUG",
        "GANGLION_SHUTDOWN_TIMEOUT": "20",
    }
    with running.running_service(rag_demo.PROGRAM, variables) as service:
        outcome = asyncio.run(rag_demo.send_requests(service.url))
    spans = "sum(traces_span_metrics_calls_total)"
    eventually(lambda: len(rows(dsn, "SELECT 1 FROM logs")) >= len(rag_demo.logs_of(service)), timeout=20)
    eventually(lambda: value(prometheus, spans) == len(rows(dsn, "SELECT 1 FROM spans")), timeout=20)
    # Prometheus reads a counter twice before it says by how much it grew.
    eventually(lambda: value(prometheus, f"count_over_time(({spans})[2s:500ms])") >= 3, timeout=10)
    return Live(prometheus, dsn, set(outcome.users), started, time.time())


def value(prometheus: RunningPrometheus, expression: str) -> float:
    found = prometheus.query(expression)
    return float(found[0]["value"][1]) if found else -1


def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement.encode()).fetchall()


def reason(query: Asked) -> str | None:
    return EMPTY.get((query.dashboard, query.panel)) or EMPTY.get((query.dashboard, f"{query.panel} {query.ref}"))


@pytest.mark.parametrize("query", list(asked("expr")), ids=str)
def test_a_graph_has_values(live: Live, query: Asked) -> None:
    found = live.values(query.text)
    assert bool(found) is (reason(query) is None), reason(query) or query.text


@pytest.mark.parametrize("query", [query for query in asked("rawSql") if query.dashboard != "ganglion-trace"], ids=str)
def test_a_table_has_rows(live: Live, query: Asked) -> None:
    found = rows(live.database, grafana_files.sql(query.text, end=datetime.fromtimestamp(live.ended, UTC)))
    assert bool(found) is (reason(query) is None), reason(query) or query.text
