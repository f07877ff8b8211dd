"""What a token of one tenant is told: nothing of another, in no answer, whatever it asks for."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time_ns
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from ganglion_query.langsmith import LangSmith
from psycopg.conninfo import make_conninfo

from tests.fix_postgresql import fresh_database
from tests.query.serving import Serving, served
from tests.query.telemetry import ERROR, Sent, log, span, store

ACME, ALL = "token-of-acme-0123456789", "token-of-everybody-0123456789"
TOKENS = [{"token": ACME, "tenants": ["acme"]}, {"token": ALL}]
OWN, THEIRS = uuid4().hex, uuid4().hex
SECRETS = ("globex", "their-", THEIRS, "SecretError")

# Each answer that is made of many rows, asked for as widely as can be.
WIDE: list[tuple[str, dict[str, Any]]] = [
    ("/api/v1/overview", {}),
    ("/api/v1/overview", {"service": "their-service"}),
    ("/api/v1/services", {}),
    ("/api/v1/services/their-service/operations", {}),
    ("/api/v1/services/shop/operations", {}),
    ("/api/v1/attributes", {}),
    ("/api/v1/traces", {}),
    ("/api/v1/traces", {"where": "their.key=x"}),
    ("/api/v1/traces", {"tenant": "globex"}),
    ("/api/v1/traces", {"order": "slowest"}),
    ("/api/v1/logs", {}),
    ("/api/v1/logs", {"search": "their"}),
    ("/api/v1/logs", {"tenant": "globex"}),
    ("/api/v1/logs", {"trace": THEIRS}),
    ("/api/v1/errors", {}),
    ("/api/v1/errors/groups", {}),
    ("/api/v1/changes", {"at": "2m", "window": "10m"}),
    ("/api/v1/comparison", {"by": "tenant.id"}),
    ("/api/v1/comparison", {"by": "their.key"}),
    ("/api/v1/quality", {}),
    ("/api/v1/costs", {"by": "tenant"}),
    ("/api/v1/costs", {"by": "user", "trace": THEIRS}),
    ("/api/v1/health", {}),
    ("/jaeger/api/services", {}),
    ("/jaeger/api/services/their-service/operations", {}),
    ("/jaeger/api/traces", {"service": "their-service"}),
    ("/jaeger/api/traces", {"service": "shop"}),
    (
        "/jaeger/api/dependencies",
        {"endTs": int(datetime.now(UTC).timestamp() + 86_400) * 1000, "lookback": 172_800_000},
    ),
]


async def fill(dsn: str) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)
    own = [
        span("POST /ask", 1, at=at, ms=100, trace_id=OWN),
        span("answer", 2, 1, at=at, ms=50, trace_id=OWN, tenant_id="acme"),
    ]
    theirs = [
        span("their-operation", 1, at=at, ms=5000, trace_id=THEIRS, error="their-failure", tenant_id="globex"),
        span("their-model-call", 2, 1, at=at, trace_id=THEIRS, gen_ai_request_model="their-model", their_key="x"),
    ]
    own_logs = [
        log("own words", 2, at=at, trace_id=OWN, tenant_id="acme"),
        log("nobody's words", 1, at=at, trace_id=OWN),
    ]
    their_logs = [
        log("their-words", 1, at=at, trace_id=THEIRS, severity=ERROR, tenant_id="globex", exception_type="SecretError"),
        log("ragas_score_computed", 2, at=at, trace_id=THEIRS, tenant_id="globex", numbers={"faithfulness": 0.1}),
        log(
            "their-cost", 2, at=at, trace_id=THEIRS, tenant_id="globex", user_id="their-user", numbers={"cost_usd": 9.0}
        ),
    ]
    await store(dsn, Sent("shop", own, own_logs), Sent("their-service", theirs, their_logs))


@pytest.fixture(scope="module")
def serving(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    cache = tmp_path_factory.mktemp("langsmith") / "projects.json"
    langsmith = LangSmith("http://127.0.0.1:1", "key", "", "default", cache, patience=0.5)
    with fresh_database(postgresql_server) as dsn:
        asyncio.run(fill(dsn))
        with served(dsn, Path("/nowhere"), langsmith, tokens=TOKENS) as serving:
            yield serving


def test_no_answer_tells_of_another_tenant(serving: Serving) -> None:
    for path, parameters in WIDE:
        answer = serving.get(path, ACME, **parameters)
        assert answer.status_code == 200, (path, answer.text)
        asked = json.dumps([path, parameters])
        found = [secret for secret in SECRETS if secret in answer.text and secret not in asked]
        assert found == [], (path, parameters, answer.text)


def test_the_same_questions_do_tell_who_may_see_everything(serving: Serving) -> None:
    told = "".join(serving.get(path, ALL, **parameters).text for path, parameters in WIDE)
    assert [secret for secret in SECRETS if secret not in told] == []


def test_counts_are_of_what_may_be_seen(serving: Serving) -> None:
    own, all_ = (serving.get("/api/v1/overview", token).json() for token in (ACME, ALL))
    assert (own["errors"], all_["errors"]) == (0, 1)
    assert own["p99_ms"] is None or own["p99_ms"] < 1000
    assert [len(serving.get("/api/v1/logs", token).json()["items"]) for token in (ACME, ALL)] == [1, 5]


def test_another_tenants_request_is_not_there(serving: Serving) -> None:
    for path in ("", "/explanation", f"/spans/{1:016x}"):
        assert serving.get(f"/api/v1/traces/{THEIRS}{path}", ACME).status_code == 404, path
        assert serving.get(f"/api/v1/traces/{THEIRS}{path}", ALL).status_code == 200, path
    assert serving.get(f"/jaeger/api/traces/{THEIRS}", ACME).status_code == 404


def test_an_own_request_is_seen_whole(serving: Serving) -> None:
    told = serving.get(f"/api/v1/traces/{OWN}", ACME).json()
    assert [one["name"] for one in told["spans"]] == ["POST /ask", "answer"]
    assert sorted(one["message"] for one in told["logs"]) == ["nobody's words", "own words"]
    detail = serving.get(f"/api/v1/traces/{OWN}/spans/{1:016x}", ACME).json()
    assert detail["span"]["resource"]["service.name"] == "shop"


def test_langsmith_is_linked_only_for_who_may_see_everything(serving: Serving) -> None:
    own, all_ = (serving.get(f"/api/v1/traces/{OWN}", token).json() for token in (ACME, ALL))
    assert (own["langsmith_url"], own["langsmith_note"]) == (None, None)
    assert "LangSmith" in all_["langsmith_note"]


def test_the_session_says_whose_data_is_seen(serving: Serving) -> None:
    assert serving.get("/api/v1/session", ACME).json()["tenants"] == ["acme"]
    assert serving.get("/api/v1/session", ALL).json()["tenants"] is None


def test_a_tail_tells_own_logs_alone(postgresql: str) -> None:
    asyncio.run(fill(postgresql))
    with served(postgresql, tokens=TOKENS) as other:
        headers = {"authorization": f"Bearer {ACME}"}
        with other.client.stream("GET", "/api/v1/logs/tail", headers=headers) as answer:
            now = datetime.now(UTC)
            said = [log("theirs", at=now, tenant_id="globex"), log("own", at=now, tenant_id="acme")]
            asyncio.run(store(postgresql, Sent("shop", [], said)))
            told = next(line for line in answer.iter_lines() if line.startswith("data: "))
    assert json.loads(told.removeprefix("data: "))["message"] == "own"


def test_logs_of_one_moment_are_found_by_their_words_page_by_page(postgresql: str) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)
    said = [log(f"paid order {number}", at=at, tenant_id=whose) for number in range(5) for whose in ("acme", "globex")]
    asyncio.run(store(postgresql, Sent("shop", [], said)))
    pages: list[dict[str, Any]] = []
    with served(postgresql, tokens=TOKENS) as other:
        while not pages or pages[-1]["next"]:
            cursor = {"cursor": pages[-1]["next"]} if pages else {}
            pages.append(other.get("/api/v1/logs", ACME, search="paid", limit=2, **cursor).json())
    assert [len(page["items"]) for page in pages] == [2, 2, 1]
    found = sorted(item["message"] for page in pages for item in page["items"])
    assert found == [f"paid order {number}" for number in range(5)]


def test_a_login_of_its_own_is_enough(postgresql: str) -> None:
    asyncio.run(fill(postgresql))
    login = f"q{time_ns()}"
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {login} LOGIN NOINHERIT IN ROLE ganglion_reader, ganglion_tenant_reader")
        try:
            with served(make_conninfo(postgresql, user=login), tokens=TOKENS) as limited:
                found = [limited.get("/api/v1/logs", token).json()["items"] for token in (ACME, ALL)]
        finally:
            admin.execute(f"DROP ROLE {login}")
    assert [len(items) for items in found] == [1, 5]


def test_a_database_without_the_roles_tells_a_tenant_nothing(postgresql: str) -> None:
    with served(postgresql, tokens=TOKENS) as empty:
        answer = empty.get("/api/v1/services", ACME)
    assert answer.status_code == 502
    assert "ganglion_tenant_reader" in answer.json()["detail"]
