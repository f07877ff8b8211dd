"""Every panel shows something while the example service is used, with real Prometheus and PostgreSQL behind it."""

import asyncio
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from examples import rag_demo, running
from tests.deploy import grafana_files
from tests.deploy.grafana_files import ALL, Asked, asked, dashboards, database, variables
from tests.deploy.receivers import SHIPPED, served
from tests.fix_collector import RunningCollector, eventually
from tests.fix_prometheus import MakePrometheus, RunningPrometheus

pytestmark = pytest.mark.timeout(90)

WINDOW = "3s"  # six scrapes
FREE_PORTS = {
    "GANGLION_OTLP_GRPC_ENDPOINT": "127.0.0.1:0",
    "GANGLION_OTLP_HTTP_ENDPOINT": "127.0.0.1:0",
    "GANGLION_PROMETHEUS_EXPORTER_ENDPOINT": "127.0.0.1:0",
    "GANGLION_HEALTH_ENDPOINT": "127.0.0.1:0",
    "GANGLION_QUERY_ENDPOINT": "127.0.0.1:0",
    "GANGLION_METRICS_HOST": "127.0.0.1",
    "GANGLION_METRICS_PORT": "0",
}
FAULTS = {
    'otelcol_receiver_refused_spans{receiver="otlp",transport="grpc"}': "spans refused",
    'otelcol_receiver_refused_metric_points{receiver="otlp",transport="grpc"}': "metric points refused",
    'otelcol_receiver_refused_log_records{receiver="otlp",transport="grpc"}': "log records refused",
    'otelcol_receiver_failed_spans{receiver="otlp",transport="grpc"}': "spans lost",
    'otelcol_receiver_failed_metric_points{receiver="otlp",transport="grpc"}': "metric points lost",
    'otelcol_receiver_failed_log_records{receiver="otlp",transport="grpc"}': "log records lost",
    'ganglion_exporter_dead_lettered_items_total{exporter="a",data_type="logs",reason="permanent"}': "items set aside",
    'ganglion_prometheus_dropped_points_total{reason="type_conflict"}': "points that cannot be shown",
    'ganglion_prometheusremotewrite_dropped_points_total{reason="type_conflict"}': "points that cannot be sent",
    'ganglion_component_dropped_items_total{component="a",reason="stale"}': "items that a processor left out",
    'ganglion_component_overflow_items_total{component="a"}': "more series than a connector may have",
}
"""Counters that begin with the first fault of their kind, and there was none: their graphs are empty."""
ALERTS = "(ALERTS)"
PLANTED = {"alert": "Planted", "expr": "ganglion_component_overflow_items_total > 0", "labels": {"severity": "warning"}}


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

    def values(self, expression: str, chosen: Mapping[str, str] = ALL) -> list[float]:
        """Return all values that a graph of the whole time would show."""
        text = grafana_files.promql(expression, chosen, window=WINDOW, span=self.span)
        found = self.prometheus.get(
            "/api/v1/query_range", query=text, start=str(self.started), end=str(self.ended), step="1"
        )
        return [float(value) for series in found["result"] for _, value in series["values"] if value != "NaN"]


def collector_text(sink: str) -> str:
    """Return the shipped configuration, which tells derived metrics often, and writes metrics to `sink` too."""
    shipped = yaml.safe_load((SHIPPED.parent / "otel-collector.yaml").read_text(encoding="utf-8"))
    shipped["connectors"]["span_metrics"]["metrics_flush_interval"] = "500ms"
    shipped["exporters"]["prometheusremotewrite"] = {"endpoint": sink}
    shipped["service"]["pipelines"]["metrics"]["exporters"].append("prometheusremotewrite")
    return yaml.safe_dump(shipped)


def prometheus_text(collector: RunningCollector) -> str:
    """Return the shipped configuration, which scrapes this collector, and often."""
    shipped = yaml.safe_load((SHIPPED / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    shipped["global"] |= {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"}
    shipped["rule_files"] = [str(SHIPPED / "prometheus" / "rules" / "*.yml")]
    targets = {"ganglion_exporter": "prometheus", "ganglion": "metrics"}
    shipped["scrape_configs"] = [job for job in shipped["scrape_configs"] if job["job_name"] in targets]
    for job in shipped["scrape_configs"]:
        job["static_configs"] = [{"targets": [collector.address(targets[job["job_name"]])]}]
    del shipped["alerting"]
    return yaml.safe_dump(shipped)


class Sink(BaseHTTPRequestHandler):
    """Takes what is written to it, and says so."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        pass


@pytest.fixture(scope="module")
def live(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    with database(postgresql_server) as dsn, served(Sink) as sink:
        environ = {**FREE_PORTS, "GANGLION_DATABASE_URL": dsn}
        collector = RunningCollector(collector_text(sink), folder / "home", environ)
        prometheus: RunningPrometheus | None = None
        try:
            collector.start()
            (folder / "prometheus").mkdir()
            prometheus = RunningPrometheus(prometheus_text(collector), folder / "prometheus", ())
            prometheus.start().wait_for('up{job="ganglion_exporter"} == 1')
            yield use(collector, prometheus, dsn)
        finally:
            if prometheus is not None:
                prometheus.close()
            collector.close()


def use(collector: RunningCollector, prometheus: RunningPrometheus, dsn: str) -> Live:
    """Use the example service, until all of it is where the dashboards read."""
    started = time.time()
    telling = rag_demo.otel_variables({"otlp/grpc": collector.address("otlp/grpc")}, "grpc") | {
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "GANGLION_LOG_LEVEL": "DEBUG",
        "GANGLION_SHUTDOWN_TIMEOUT": "20",
    }
    with running.running_service(rag_demo.PROGRAM, telling) as service:
        outcome = asyncio.run(rag_demo.send_requests(service.url))
    eventually(lambda: len(rows(dsn, "SELECT 1 FROM logs")) >= len(rag_demo.logs_of(service)), timeout=40)
    for counted, stored in (
        ("sum(traces_span_metrics_calls_total)", "SELECT 1 FROM spans"),
        ("sum(rag_requests_total)", "SELECT 1 FROM spans WHERE attributes ? 'rag.operation'"),
    ):
        eventually(lambda: value(prometheus, counted) == len(rows(dsn, stored)), timeout=40)  # noqa: B023 (called here)
    # Prometheus reads a counter twice before it says by how much it grew.
    eventually(lambda: value(prometheus, "min(count_over_time(rag_requests_total[3s]))") >= 4, timeout=20)
    return Live(prometheus, dsn, set(outcome.users), started, time.time())


def value(prometheus: RunningPrometheus, expression: str) -> float:
    found = prometheus.query(expression)
    return float(found[0]["value"][1]) if found else -1


def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement.encode()).fetchall()


def fault(query: Asked) -> str | None:
    """Return what does not exist without a fault, if the query shows such a thing and no 0 for it."""
    if "vector(0)" in query.text:
        return None
    if ALERTS in query.text:
        return ALERTS
    return next((series for series in FAULTS if series.partition("{")[0].removesuffix("_total") in query.text), None)


GRAPHS = list(asked("expr"))


@pytest.mark.parametrize("query", [query for query in GRAPHS if not fault(query)], ids=str)
def test_a_graph_has_values(live: Live, query: Asked) -> None:
    assert live.values(query.text), query.text


@pytest.mark.parametrize("query", [query for query in GRAPHS if fault(query) not in (None, ALERTS)], ids=str)
def test_a_graph_of_faults_is_empty_without_one(live: Live, query: Asked) -> None:
    assert not live.values(query.text), query.text


@pytest.mark.parametrize("query", [query for query in asked("rawSql") if query.dashboard != "ganglion-trace"], ids=str)
def test_a_table_has_rows(live: Live, query: Asked) -> None:
    assert rows(live.database, grafana_files.sql(query.text, end=datetime.fromtimestamp(live.ended, UTC))), query.text


@pytest.mark.parametrize("name", ["service", "environment"])
def test_what_is_not_chosen_is_not_shown(live: Live, name: str) -> None:
    chosen = {"service": "rag-service|other", "environment": "demo|other"}
    for query in (query for query in GRAPHS if "$service" in query.text):
        assert live.values(query.text, {**ALL, **chosen}), query.text
        assert not live.values(query.text, {**ALL, **chosen, name: "other|rag|service|dem"}), query.text


def test_variables_offer_what_was_sent(live: Live) -> None:
    found: dict[str, set[str]] = {}
    for dashboard in dashboards():
        for name, variable in variables(dashboard).items():
            if variable["type"] == "query":
                series, label = re.fullmatch(
                    r"label_values\((.+), (\w+)\)", variable["query"]["query"], re.DOTALL
                ).groups()  # type: ignore[union-attr]
                values = live.prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": series})
                chosen = re.compile(variable["regex"].strip("/").replace("\\/", "/")) if variable.get("regex") else None
                found[name] = {chosen.search(value)[1] if chosen else value for value in values}  # type: ignore[index]
    assert found["service"] == {"rag-service"}
    assert found["environment"] == {"demo"}
    assert len(found["model"]) >= 2
    assert len(found["collector"]) == 1


def test_points_lead_to_traces_in_postgresql(live: Live) -> None:
    seen: dict[str, set[str]] = {}
    for dashboard in dashboards():
        for panel in grafana_files.panels(dashboard):
            for target in (target for target in panel["targets"] if target.get("exemplar")):
                text = grafana_files.promql(target["expr"], window=WINDOW)
                found = [one for series in live.prometheus.exemplars(text) for one in series["exemplars"]]
                ids = {one["labels"]["trace_id"] for one in found}
                seen[f"{dashboard['uid']}: {panel['title']}"] = ids
                assert ids <= live.traces, panel["title"]
    without = {panel for panel, ids in seen.items() if not ids}
    assert without == set()
    some = next(iter(seen["ganglion-overview: Latency"]))
    assert rows(live.database, f"SELECT 1 FROM spans WHERE trace_id = '{some}' AND parent_span_id IS NULL")


class _Faults(BaseHTTPRequestHandler):
    """A page of a collector to which, after some scrapes, the first faults happen."""

    faults = False

    def do_GET(self) -> None:
        lines = [f"{series} 3" for series in FAULTS] if self.faults else []
        body = "\n".join([*lines, ""]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        pass


def test_the_first_fault_of_each_kind_is_seen(prometheus: MakePrometheus, tmp_path: Path) -> None:
    class Page(_Faults):
        pass

    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "faults", "rules": [PLANTED]}]}), encoding="utf-8")
    with served(Page) as url:
        job = {"job_name": "ganglion", "static_configs": [{"targets": [url.removeprefix("http://")]}]}
        often = {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"}
        server = prometheus(yaml.safe_dump({"global": often, "scrape_configs": [job], "rule_files": [str(rules)]}))
        scraped_before = '(up{job="ganglion"} offset 5s == 1)'
        server.wait_for(scraped_before)
        Page.faults = True
        seen = f"ganglion_component_overflow_items_total and on () ALERTS and on () {scraped_before}"
        (first,) = server.wait_for(seen)
        at = float(first["value"][0])  # all queries are of one moment: what is new is so for five seconds only
        for query in (query for query in GRAPHS if fault(query)):
            found = server.query(grafana_files.promql(query.text, window="5s"), at)
            assert [series["value"][1] for series in found] == ["1" if ALERTS in query.text else "3"], query
