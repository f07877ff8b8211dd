"""Grafana's files: current and whole; Prometheus and PostgreSQL understand every query, and every link leads on."""

import asyncio
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import psycopg
import pytest
import yaml

from deploy.grafana.boards import __main__ as boards
from tests.deploy import grafana_files
from tests.deploy.grafana_files import ALL, GRAFANA, Asked, asked, dashboards, database, panels, variables
from tests.programs import prometheus_program
from tests.query.telemetry import ERROR, TRACE_ID, Sent, log, span, store

SQL = list(asked("rawSql"))
PROMQL = list(asked("expr"))
BOARDS = [pytest.param(dashboard, id=dashboard["uid"]) for dashboard in dashboards()]
HOSTILE = ("o'brien", "$$ OR true; DROP TABLE logs; --", "\\Z$$", "a|b", "(", "')); DROP TABLE logs; --")
RULES = GRAFANA.parent / "prometheus" / "rules"


def provisioning(name: str) -> dict[str, Any]:
    text = (GRAFANA / "provisioning" / name / "ganglion.yml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def sources() -> dict[str, dict[str, Any]]:
    return {source["uid"]: source for source in provisioning("datasources")["datasources"]}


def environment() -> dict[str, str]:
    lines = (GRAFANA / "grafana.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_json_is_what_the_code_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert boards.main(["--check"]) == 0, capsys.readouterr().err


def test_what_is_out_of_date_or_left_over_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deploy" / "grafana" / "dashboards"
    folder.mkdir(parents=True)
    (folder / "left-over.json").write_text("{}")
    assert boards.main(["--check"], folder) == 1
    assert "dashboards/left-over.json is out of date" in capsys.readouterr().err
    assert boards.main([], folder) == 0
    assert set(folder.iterdir()) == set(boards.files(folder))
    assert boards.main(["--check"], folder) == 0


@pytest.mark.parametrize("dashboard", BOARDS)
def test_every_panel_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        assert panel["title"]
        assert len(panel["description"]) > 10, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]


@pytest.mark.parametrize("dashboard", BOARDS)
def test_every_query_has_a_source_that_is_provisioned(dashboard: dict[str, Any]) -> None:
    known = sources()
    used = [*panels(dashboard), *(target for panel in panels(dashboard) for target in panel["targets"])]
    used += [variable for variable in variables(dashboard).values() if variable["type"] == "query"]
    used += dashboard.get("annotations", {}).get("list", [])
    for one in used:
        assert one["datasource"]["type"] == known[one["datasource"]["uid"]]["type"], one


@pytest.mark.parametrize("dashboard", BOARDS)
def test_ids_are_unique_and_no_panel_covers_another(dashboard: dict[str, Any]) -> None:
    found = dashboard["panels"]
    assert not [number for number, count in Counter(panel["id"] for panel in found).items() if count > 1]
    for one in found:
        place = one["gridPos"]
        assert place["w"] > 0 < place["h"]
        assert 0 <= place["x"] <= 24 - place["w"]
    for one, other in combinations((panel["gridPos"] for panel in found), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_uids_are_unique_and_name_the_files() -> None:
    names = sorted(path.stem for path in (GRAFANA / "dashboards").iterdir())
    assert sorted(dashboard["uid"] for dashboard in dashboards()) == names


@pytest.mark.parametrize("dashboard", BOARDS)
def test_every_variable_that_is_used_is_there_and_used(dashboard: dict[str, Any]) -> None:
    texts = [
        query.text for key in ("expr", "rawSql", "query") for query in asked(key) if query.dashboard == dashboard["uid"]
    ]
    used = {name for text in texts for found in re.findall(r"\$(?:(\w+)|\{(\w+)[:}])", text) for name in found if name}
    assert {name for name in used if not name.startswith("__")} == set(variables(dashboard))


def test_graphs_of_latency_show_traces() -> None:
    for dashboard in dashboards():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                if panel["type"] == "timeseries" and "histogram_quantile(0.95" in target.get("expr", ""):
                    assert target["exemplar"] is ("$service" in target["expr"]), panel["title"]


def test_a_trace_id_in_a_table_leads_to_the_trace() -> None:
    for dashboard in dashboards():
        for panel in panels(dashboard):
            if panel["type"] == "table" and "trace_id" in panel["targets"][0].get("rawSql", "").partition("FROM")[0]:
                (links,) = [
                    override["properties"][0]["value"]
                    for override in panel["fieldConfig"]["overrides"]
                    if override["matcher"] == {"id": "byName", "options": "trace_id"}
                ]
                board, explore, page = (link["url"].replace("${__value.raw}", TRACE_ID) for link in links)
                assert board == f"/d/ganglion-trace?var-trace_id={TRACE_ID}"
                panes = json.loads(unquote(explore.partition("panes=")[2]))
                assert panes["trace"]["queries"][0]["query"] == TRACE_ID
                assert panes["trace"]["datasource"] == "ganglion-traces"
                assert page == f"{environment()['GANGLION_PAGE_URL']}/trace/{TRACE_ID}"


def test_the_dashboard_of_a_request_leads_to_its_page() -> None:
    (dashboard,) = [one for one in dashboards() if one["uid"] == "ganglion-trace"]
    _, link = dashboard["links"]
    assert link["url"] == f"{environment()['GANGLION_PAGE_URL']}/trace/${{trace_id}}"


def test_alerts_lead_to_dashboards_and_variables_that_are_there() -> None:
    known = {dashboard["uid"]: set(variables(dashboard)) for dashboard in dashboards()}
    links = [
        link for path in RULES.glob("*.yml") for link in re.findall(r"/d/([\w-]+)(?:\?var-(\w+))?", path.read_text())
    ]
    assert links
    for uid, variable in links:
        assert not variable or variable in known[uid], uid
        assert uid in known


NOT_SHOWN = {
    "otelcol_exporter_enqueue_failed_spans": "always 0",
    "otelcol_exporter_enqueue_failed_metric_points": "always 0",
    "otelcol_exporter_enqueue_failed_log_records": "always 0",
    "otelcol_process_uptime": "restarts are shown",
    "ganglion_exporter_position": "what waits is shown",
    "ganglion_journal_oldest_sequence": "what waits is shown",
    "ganglion_journal_next_sequence": "what waits is shown",
}


def documented_metrics() -> set[str]:
    """Return the names in the table of docs/operations.md."""
    document = (GRAFANA.parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    table = document.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    names: set[str] = set()
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", row):
            start, _, words = name.partition("{")
            names |= {start + word for word in words.rstrip("}").split(",")} if words else {start}
    return names


def test_every_metric_of_ganglion_is_shown_or_says_why_not() -> None:
    shown = " ".join(query.text for query in PROMQL if query.dashboard == "ganglion-collector")
    known = documented_metrics()
    assert len(known) > 35
    assert {name for name in known if not re.search(rf'"{name}(_bucket)?[("]', shown)} == set(NOT_SHOWN)


def promtool_checks(expressions: list[Asked], folder: Path) -> str:
    rules = [
        {"record": f"query:{number}", "expr": grafana_files.promql(one.text)} for number, one in enumerate(expressions)
    ]
    file = folder / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(
        [prometheus_program("promtool"), "check", "rules", file], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    assert len(PROMQL) > 80
    assert promtool_checks(PROMQL, tmp_path) == ""


def test_an_expression_that_is_none_would_be_found(tmp_path: Path) -> None:
    assert "unclosed" in promtool_checks([Asked("a", "b", "A", "sum(rate(x[$__rate_interval])")], tmp_path)


def one_request() -> Sent:
    """Return what the service `o'brien` tells of a request."""
    now = datetime.now(UTC) - timedelta(minutes=1)
    spans = [span("POST /ask", 1, at=now, ms=1830, error="failed")]
    spans += [span(name, id_, 1, at=now, ms=210) for id_, name in ((2, "retrieval.search"), (3, "ingestion.upload"))]
    logs = [
        log("generation_complete", 2, at=now, user_id="ada", numbers={"cost_usd": 0.25, "tokens": 1800}),
        log("ragas_score_computed", 2, at=now, numbers={"faithfulness": 0.5, "relevancy": 0.75}),
        log("claims_checked", 2, at=now, numbers={"claims": 4, "hallucinated": 1}),
        log("streaming_started", 2, at=now, model="small-1", numbers={"first_token_ms": 90.0}),
        log("slow_generation", 2, at=now, model="small-1", numbers={"duration_ms": 1560.0}),
        log("file_upload_failed", 2, at=now, severity=ERROR, exception_type="ValueError", exception_message="broken"),
    ]
    return Sent("o'brien", spans, logs)


@pytest.fixture(scope="module")
def telemetry(postgresql_server: str) -> Iterator[str]:
    """A database with one request in it; no test changes it."""
    with database(postgresql_server) as dsn:
        asyncio.run(store(dsn, one_request()))
        yield dsn


def ask(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement.encode()).fetchall()


@pytest.mark.parametrize("query", SQL, ids=str)
def test_postgresql_understands_every_query(telemetry: str, query: Asked) -> None:
    for service in (".*", *HOSTILE):
        chosen = {**ALL, "service": service, "environment": service, "trace_id": service}
        ask(telemetry, grafana_files.sql(query.text, chosen))


@pytest.mark.parametrize(
    "query", [query for query in SQL if "regex}" in query.text and "logger" not in query.text], ids=str
)
def test_a_service_is_chosen_by_its_whole_name(telemetry: str, query: Asked) -> None:
    def rows(service: str) -> list[tuple[Any, ...]]:
        return ask(telemetry, grafana_files.sql(query.text, {**ALL, "service": service}))

    assert rows(".*") == rows("o'brien") != []
    assert not any(rows(other) for other in ("brien", "o'brien2", *HOSTILE[1:]))


@pytest.mark.parametrize("query", [query for query in SQL if query.dashboard == "ganglion-trace"], ids=str)
def test_a_request_is_found_by_its_trace_id(telemetry: str, query: Asked) -> None:
    def rows(trace_id: str) -> list[tuple[Any, ...]]:
        return ask(telemetry, grafana_files.sql(query.text, {"trace_id": trace_id}))

    hyphened = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
    assert rows(TRACE_ID) == rows(f" {hyphened} ") == rows(TRACE_ID.upper()) != []
    assert not any(rows(other) for other in ("", "1", TRACE_ID[1:] + "0", *HOSTILE))


def test_the_documented_role_reads_all_and_changes_nothing(telemetry: str) -> None:
    document = (GRAFANA.parents[1] / "docs" / "grafana.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"```sql\n(CREATE ROLE grafana .*?)```", document, re.DOTALL)
    role = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(telemetry, autocommit=True) as connection:
        connection.execute(statements.replace("grafana", role).encode())
        try:
            connection.execute(f"SET ROLE {role}".encode())
            for query in SQL:
                connection.execute(grafana_files.sql(query.text).encode())
            for change in ("DELETE FROM logs", "DROP TABLE spans", "SELECT * FROM ganglion_positions"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(change.encode())
        finally:
            connection.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}".encode())


def expanded(text: str, values: dict[str, str]) -> str:
    """Return what Grafana's provisioning makes of a text: its environment's variables, and a dollar of two."""
    parts = (
        re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda found: values[found[1] or found[2]], part) for part in text.split("$$")
    )
    return "$".join(parts)


def test_provisioning_needs_no_variable_that_is_not_explained() -> None:
    values = {
        **environment(),
        "GANGLION_POSTGRESQL_PASSWORD": "secret",
        "GANGLION_TRACES_AUTHORIZATION": "Bearer secret",
    }
    for name in ("datasources", "dashboards"):
        text = yaml.safe_dump(provisioning(name), width=1000)
        assert "$GANGLION" not in expanded(text, values)
    document = (GRAFANA.parents[1] / "docs" / "grafana.md").read_text(encoding="utf-8")
    assert all(name in document for name in values)


def test_exemplars_lead_to_traces() -> None:
    wanted = sources()["ganglion-prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert [one["name"] for one in wanted] == ["trace_id"] * 3
    assert wanted[0]["datasourceUid"] in sources()
    assert expanded(wanted[1]["url"], {}) == "/d/ganglion-trace?var-trace_id=${__value.raw}"
    assert expanded(wanted[2]["url"], environment()) == "http://localhost:8484/trace/${__value.raw}"


def test_traces_are_asked_for_with_a_token_that_no_file_holds() -> None:
    traces = sources()["ganglion-traces"]
    assert traces["jsonData"]["httpHeaderName1"] == "Authorization"
    assert traces["secureJsonData"] == {"httpHeaderValue1": "$GANGLION_TRACES_AUTHORIZATION"}
    assert "GANGLION_TRACES_AUTHORIZATION" not in environment()
    assert expanded(traces["url"], environment()) == f"{environment()['GANGLION_PAGE_URL']}/jaeger"


def test_a_span_leads_to_the_logs_of_its_request(telemetry: str) -> None:
    (logs,) = sources()["ganglion-traces"]["correlations"]
    statement = expanded(logs["config"]["target"]["rawSql"], {})
    assert sources()[logs["targetUID"]]["type"] == "grafana-postgresql-datasource"
    assert len(ask(telemetry, statement.replace("${traceID}", TRACE_ID))) == 6
    assert not ask(telemetry, statement.replace("${traceID}", "no trace id"))


def test_a_span_leads_to_the_metrics_of_its_service(tmp_path: Path) -> None:
    queries = sources()["ganglion-traces"]["jsonData"]["tracesToMetrics"]["queries"]
    texts = [expanded(query["query"], {}).replace("$__tags", 'service_name="shop"') for query in queries]
    assert promtool_checks([Asked("traces", "metrics", "A", text) for text in texts], tmp_path) == ""
