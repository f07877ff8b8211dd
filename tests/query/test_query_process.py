"""The query process under its supervisor: started, killed, restarted, told to stop, given other tokens."""

import asyncio
import json
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import trustme
from ganglion_collector.config import load
from ganglion_collector.errors import InvalidConfigError
from ganglion_collector.query_program import disabled_queries
from ganglion_query import up

from tests.fix_collector import MakeCollector, RunningCollector, eventually
from tests.fix_postgresql import PostgreSQLProxy
from tests.query.telemetry import Sent, log, store

TOKEN = "a-token-of-everything-0123456789"
OTHER = "another-token-entirely-9876543210"


def configuration(query: str = '{endpoint: "127.0.0.1:0"}') -> str:
    return f"""\
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters: {{debug: }}
extensions:
  health_check: {{endpoint: "127.0.0.1:0"}}
  query: {query}
service:
  extensions: [health_check, query]
  pipelines: {{logs: {{receivers: [otlp], exporters: [debug]}}}}
  telemetry: {{metrics: {{level: none}}}}
"""


def guarded(token: str) -> str:
    return configuration(f'{{endpoint: "127.0.0.1:0", tokens: [{{token: {token}}}]}}')


@pytest.fixture
def database(postgresql: str) -> Mapping[str, str]:
    asyncio.run(store(postgresql, Sent("shop", [], [log("first", at=datetime.now(UTC))])))
    return {"GANGLION_DATABASE_URL": postgresql}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=15, trust_env=False) as client:
        yield client


def status(client: httpx.Client, running: RunningCollector, token: str = "", path: str = "/api/v1/logs") -> int:
    """Return what it answers, 0 while it does not."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        return client.get(f"http://{running.address('query')}{path}", headers=headers).status_code
    except httpx.TransportError:
        return 0


def test_it_serves_what_the_database_holds(
    collector: MakeCollector, database: Mapping[str, str], client: httpx.Client
) -> None:
    running = collector(guarded(TOKEN), environ=database).start()
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = client.get(f"http://{running.address('query')}/api/v1/logs", headers=headers)
    assert [one["message"] for one in answer.json()["items"]] == ["first"]
    process = running.process("query")
    assert (process["state"], process["restarts"]) == ("running", 0)
    assert json.loads(running.get("health")[1])["components"]["extension:query"]["status"] == "StatusOK"
    found = psutil.Process(int(process["pid"]))
    assert TOKEN not in " ".join([*found.cmdline(), *found.environ().values()])
    assert TOKEN not in running.logs()


def test_it_is_restarted_when_it_is_killed(
    collector: MakeCollector, database: Mapping[str, str], client: httpx.Client
) -> None:
    running = collector(configuration(), environ=database).start()
    killed = running.kill("query")
    eventually(lambda: running.process("query")["pid"] not in {None, killed}, 20)
    eventually(lambda: running.status()["healthy"], 20)
    assert running.process("query")["restarts"] == 1
    assert status(client, running) == 200


def test_it_ends_with_a_killed_supervisor(collector: MakeCollector, database: Mapping[str, str]) -> None:
    running = collector(configuration(), environ=database).start()
    query = psutil.Process(int(running.process("query")["pid"]))
    running.signal(signal.SIGKILL)
    running.wait()
    assert psutil.wait_procs([query], timeout=20)[1] == []


def test_a_stop_ends_open_tails(collector: MakeCollector, database: Mapping[str, str], client: httpx.Client) -> None:
    running = collector(configuration(), environ=database).start()
    with client.stream("GET", f"http://{running.address('query')}/api/v1/logs/tail") as answer:
        assert answer.status_code == 200
        ended = threading.Event()

        def read() -> None:
            for _ in answer.iter_raw():
                pass
            ended.set()

        reader = threading.Thread(target=read)
        reader.start()
        running.signal(signal.SIGTERM)
        assert ended.wait(10)
        reader.join()
    assert running.wait() == 0
    assert "by force" not in running.logs()


def test_a_taken_port_is_told_with_what_moves_it(collector: MakeCollector, database: Mapping[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = collector(configuration(f'{{endpoint: "127.0.0.1:{port}"}}'), environ=database)
        running.launch()
        reason = running.wait_event("failed")["reason"]
    assert reason == f"cannot listen on 127.0.0.1:{port}: Address already in use"
    assert running.wait() == 1


def test_up_names_the_setting_that_moves_a_taken_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANGLION_QUERY_ENDPOINT", raising=False)
    hint = up._with_hint("cannot listen on localhost:8484: Address already in use")
    assert hint.endswith("or set GANGLION_QUERY_ENDPOINT")


def test_a_reload_gives_it_other_tokens(
    collector: MakeCollector, database: Mapping[str, str], client: httpx.Client
) -> None:
    running = collector(guarded(TOKEN), environ=database).start()
    assert (status(client, running, TOKEN), status(client, running, OTHER)) == (200, 401)
    running.config.write_text(guarded(OTHER))
    running.signal(signal.SIGHUP)
    eventually(lambda: status(client, running, OTHER) == 200, 30)
    assert status(client, running, TOKEN) == 401


def test_a_reload_without_it_ends_it(collector: MakeCollector, database: Mapping[str, str]) -> None:
    running = collector(configuration(), environ=database).start()
    running.config.write_text(configuration().replace("[health_check, query]", "[health_check]"))
    running.signal(signal.SIGHUP)
    eventually(lambda: all(one["name"] != "query" for one in running.status()["processes"]), 30)
    eventually(lambda: running.status()["healthy"], 30)


@pytest.mark.usefixtures("database")
def test_it_comes_up_before_its_database_and_answers_when_that_is_there(
    collector: MakeCollector, client: httpx.Client, postgresql_proxy: PostgreSQLProxy
) -> None:
    postgresql_proxy.refuse()
    running = collector(configuration(), environ={"GANGLION_DATABASE_URL": postgresql_proxy.dsn}).start()
    assert status(client, running) == 503
    postgresql_proxy.refuse(refusing=False)
    eventually(lambda: status(client, running) == 200, 20)
    postgresql_proxy.cut()
    eventually(lambda: status(client, running) == 200, 20)


def test_it_serves_https(collector: MakeCollector, database: Mapping[str, str], tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    tls = f"{{cert_file: {tmp_path}/cert.pem, key_file: {tmp_path}/key.pem}}"
    running = collector(configuration(f'{{endpoint: "127.0.0.1:0", tls: {tls}}}'), environ=database).start()
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.get(f"https://{running.address('query')}/api/v1/session").status_code == 200


@pytest.mark.parametrize(
    ("environ", "missing", "reason"),
    [
        ({}, None, "no database is given; set dsn or GANGLION_DATABASE_URL"),
        ({"GANGLION_DATABASE_URL": "postgresql://x/y"}, "fastapi", "needs the Python package fastapi.*ganglion.query"),
    ],
)
def test_where_it_cannot_run_it_is_disabled(
    environ: dict[str, str], missing: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text(configuration())
    loaded = load([str(tmp_path / "c.yaml")], environ=environ)
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    found = disabled_queries(loaded, environ)
    assert list(found) == ["query"]
    assert re.search(reason, found["query"])


def test_a_collector_without_a_database_runs_without_it(collector: MakeCollector) -> None:
    environ = {"GANGLION_DATABASE_URL": ""}
    running = collector(configuration(), environ=environ).start()
    assert "no database" in running.status()["disabled"]["extension:query"]
    assert "query" not in running.status()["addresses"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"endpoint": "0.0.0.0:8484"}, "can be reached from other machines and there are no tokens; set tokens"),
    ({"endpoint": ":8484"}, "can be reached from other machines"),
    ({"tokens": [{"token": "short"}]}, "at least 16"),
    ({"tokens": [{"token": TOKEN, "tenants": []}]}, "at least 1"),
    ({"tokens": [{"token": TOKEN, "tenants": [""]}]}, "no name"),
    ({"tokens": [{"token": TOKEN, "tenants": ["a"]}, {"token": TOKEN}]}, "stands there twice"),
    ({"tokens_file": "/nowhere/tokens"}, "cannot be read"),
    ({"connections": 0}, "greater than or equal to 1"),
    ({"endpoint": "localhost"}, "host:port"),
]


@pytest.mark.parametrize(("query", "reason"), WRONG)
def test_what_is_wrong_in_its_configuration_is_told(query: dict[str, Any], reason: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(configuration(json.dumps(query)))
    with pytest.raises(InvalidConfigError) as told:
        load([str(tmp_path / "c.yaml")], environ={})
    assert reason in str(told.value)
    assert "extensions::query" in str(told.value)
    assert "short" not in str(told.value)


@pytest.mark.parametrize("endpoint", ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1"])
def test_loopback_needs_no_tokens(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(configuration(f'{{endpoint: "{endpoint}"}}'))
    assert load([str(tmp_path / "c.yaml")], environ={}).warnings == ()


@pytest.mark.parametrize("text", ["", "- token: x", "[", f"- {{token: {TOKEN}, tenant: acme}}", f"token: {TOKEN}"])
def test_a_wrong_file_of_tokens_is_told_without_what_it_holds(text: str, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(text)
    (tmp_path / "c.yaml").write_text(configuration(f"{{tokens_file: {tmp_path}/tokens}}"))
    with pytest.raises(InvalidConfigError, match=r"write a list of token and tenants") as told:
        load([str(tmp_path / "c.yaml")], environ={})
    assert TOKEN not in str(told.value)
