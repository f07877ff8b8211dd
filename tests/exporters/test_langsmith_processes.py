"""The exporter in the collector's own processes: disabled, killed, with dead letters, beside what else runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ganglion_collector.dead_letters import DeadLetters

from tests.exporters.langsmith_spans import request
from tests.fix_collector import HEADER, TELEMETRY, MakeCollector, RunningCollector, eventually, simple
from tests.langsmith_server import LangSmithServer

pytestmark = pytest.mark.timeout(120)

ASSEMBLY = "assembly: {settle: 50ms, idle_timeout: 1s}"
RETRY = "retry_on_failure: {initial_interval: 100ms, max_interval: 300ms}"


def configuration(endpoint: str, key: str = "lsv2_k") -> str:
    langsmith = f'{{endpoint: "{endpoint}", api_key: "{key}", {ASSEMBLY}, {RETRY}}}'
    return simple(f"{{langsmith: {langsmith}, debug: }}", "traces: [langsmith, debug]", "logs: [langsmith, debug]")


def send(running: RunningCollector, *traces: int, **attributes: str) -> None:
    body = request(*traces, spans=range(5), start=None, **attributes).SerializeToString()
    assert running.post("/v1/traces", body) == 200


def test_without_a_key_it_is_disabled_and_all_else_runs(
    collector: MakeCollector, langsmith_server: LangSmithServer
) -> None:
    running = collector(configuration(langsmith_server.url, key="")).start()

    send(running, 1, 2)

    eventually(lambda: running.metrics().get(SENT_BY_DEBUG, 0) == 10)
    status = running.status()
    assert status["healthy"] is True
    assert "LANGSMITH_API_KEY" in status["disabled"]["exporter:langsmith"]
    assert not [process for process in status["processes"] if "langsmith" in process["name"]]
    code, body = running.get("health")
    assert code == 200
    component = json.loads(body)["components"]["exporter:langsmith"]
    assert (component["status"], "LANGSMITH_API_KEY" in component["reason"]) == ("StatusDisabled", True)
    assert langsmith_server.requests == []
    assert '"disabled"' in running.logs()


SENT_BY_DEBUG = 'otelcol_exporter_sent_spans{data_type="traces",exporter="debug"}'


def test_what_is_disabled_holds_nothing_back(collector: MakeCollector, langsmith_server: LangSmithServer) -> None:
    running = collector(configuration(langsmith_server.url, key="")).start()

    for trace in range(1, 20):
        send(running, trace, prompt="x" * 100_000)

    eventually(lambda: running.metrics().get(SENT_BY_DEBUG, 0) == 95)
    readers = [name for name in running.metrics() if name.startswith("ganglion_exporter_position")]
    assert readers
    assert not [name for name in readers if "langsmith" in name]


def test_validate_says_that_it_is_disabled(tmp_path: Path, langsmith_server: LangSmithServer) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(configuration(langsmith_server.url, key=""))

    result = subprocess.run(
        [sys.executable, "-m", "ganglion_query.cli", "validate", "--config", str(file)],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=True,
    )

    assert "disabled: langsmith: no api_key: set LANGSMITH_API_KEY" in result.stdout


def test_every_run_exists_once_whatever_is_killed(collector: MakeCollector, langsmith_server: LangSmithServer) -> None:
    running = collector(configuration(langsmith_server.url)).start()
    for step in range(12):
        first = step * 20 + 1
        send(running, *range(first, first + 20))
        if step % 3 == 1:
            langsmith_server.drop(times=1, store=True)
        if step % 3 == 2:
            eventually(lambda: running.process("worker:langsmith")["state"] == "running")
            running.kill("worker:langsmith")

    # The worker was killed just now.
    eventually(lambda: len(langsmith_server.runs) == 1200, timeout=40)

    trees = langsmith_server.trees()
    assert len(trees) == 240
    assert all(tree.outline() == {"span 0": [f"span {number}" for number in range(1, 5)]} for tree in trees)
    letters = DeadLetters(running.home / "dead-letters.sqlite")
    assert letters.count() == 0
    letters.close()


def test_the_whole_collector_killed_goes_on_where_it_was(
    collector: MakeCollector, langsmith_server: LangSmithServer
) -> None:
    langsmith_server.fail_with(503)
    running = collector(configuration(langsmith_server.url)).start()
    send(running, *range(1, 41))
    running.kill("supervisor")
    running.wait()
    langsmith_server.recover()

    running.start()

    eventually(lambda: len(langsmith_server.runs) == 200)
    assert len(langsmith_server.trees()) == 40


def test_what_waits_stays_while_the_key_is_away(collector: MakeCollector, langsmith_server: LangSmithServer) -> None:
    langsmith_server.fail_with(503)
    running = collector(configuration(langsmith_server.url)).start()
    send(running, 1)
    eventually(lambda: running.metrics().get("ganglion_langsmith_trouble") == 1)
    running.stop()
    with_key = running.config.read_text()
    running.config.write_text(configuration(langsmith_server.url, key=""))
    running.start()
    assert "an exporter with files of its own left the configuration or is disabled" in running.logs()
    running.stop()
    langsmith_server.recover()
    running.config.write_text(with_key)
    running.start()

    eventually(lambda: len(langsmith_server.runs) == 5)


def test_trouble_is_in_the_health_and_only_there(collector: MakeCollector, langsmith_server: LangSmithServer) -> None:
    langsmith_server.fail_with(401)
    running = collector(configuration(langsmith_server.url)).start()

    send(running, 1)

    eventually(lambda: running.get("health")[0] == 503)
    assert "LANGSMITH_API_KEY" in running.get("health")[1]
    eventually(lambda: running.metrics().get(SENT_BY_DEBUG, 0) == 5)
    langsmith_server.recover()
    eventually(lambda: running.get("health")[0] == 200)
    assert len(langsmith_server.runs) == 5


def test_what_langsmith_refuses_can_be_seen_among_the_dead_letters(
    collector: MakeCollector, langsmith_server: LangSmithServer
) -> None:
    running = collector(configuration(langsmith_server.url)).start()

    send(running, 1, **{"langsmith.trace.session_id": "8f0a9bb0-94f2-4a9a-9b0e-6a9b8d5d3c11"})
    send(running, 2)

    eventually(lambda: len(langsmith_server.runs) == 5)
    letters = DeadLetters(running.home / "dead-letters.sqlite")
    eventually(lambda: letters.count() == 5)
    (letter, *_) = letters.list()
    assert letter.reader == "traces/langsmith"
    assert letter.reason.startswith("HTTP 404")
    found = letters.get(letter.id)
    assert found is not None
    assert found.record().item_count == 1
    letters.close()


def two_exporters(one: LangSmithServer, two: LangSmithServer, patience: str = "100ms") -> str:
    retry = f"retry_on_failure: {{initial_interval: {patience}}}"
    exporters = ", ".join(
        f'langsmith/{name}: {{endpoint: "{server.url}", api_key: k, {ASSEMBLY}, {retry}}}'
        for name, server in (("a", one), ("b", two))
    )
    return f"""{HEADER}exporters: {{{exporters}}}
service:
  extensions: [health_check]
  pipelines:
    traces: {{receivers: [otlp], exporters: [langsmith/a, langsmith/b]}}
{TELEMETRY}"""


def test_two_exporters_have_their_own_folders(collector: MakeCollector) -> None:
    with LangSmithServer() as one, LangSmithServer() as two:
        running = collector(two_exporters(one, two)).start()

        send(running, 1)

        eventually(lambda: len(one.runs) == len(two.runs) == 5)
        folders = sorted((running.home / "state").glob("*.d"))
        assert len(folders) == 2
        assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in folders)


def test_one_exporters_peace_does_not_hide_what_waits_at_another(collector: MakeCollector) -> None:
    with LangSmithServer() as one, LangSmithServer() as two:
        two.fail_with(503)
        running = collector(two_exporters(one, two, patience="30s")).start()

        send(running, 1)
        eventually(lambda: running.metrics().get("ganglion_langsmith_trouble") == 1)
        send(running, 2)
        eventually(lambda: len(one.runs) == 10)
        eventually(lambda: running.metrics().get("ganglion_langsmith_spooled_spans") == 5)
        assert running.metrics()["ganglion_langsmith_trouble"] == 1
        assert running.metrics()["ganglion_langsmith_open_traces"] == 1
