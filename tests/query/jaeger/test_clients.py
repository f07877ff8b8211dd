"""What Grafana and Jaeger's page really ask, replayed: the answers are what they can read, and not empty."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.query.jaeger.service import jaeger
from tests.query.jaeger.shapes import SHAPES, check
from tests.query.telemetry import TRACE_ID, Sent, attributes, log, span, store

NOW = datetime.now(UTC)
REQUESTS = json.loads(Path(__file__).with_name("requests.json").read_text(encoding="utf-8"))


def _all() -> Iterator[dict[str, str]]:
    since, until = NOW - timedelta(hours=1), NOW + timedelta(minutes=1)
    values = {"trace": TRACE_ID}
    for name, time in (("since", since), ("until", until)):
        values[f"{name}_us"] = str(round(time.timestamp() * 1e6))
        values[f"{name}_ms"] = str(round(time.timestamp() * 1e3))
        values[f"{name}_iso"] = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for client in REQUESTS:
        for request in client["requests"]:
            yield {**request, "client": client["client"], "path": request["path"].format(**values)}


async def _stored(dsn: str) -> None:
    at = NOW - timedelta(minutes=1)
    charge = span("charge", 2, 1, at=at, ms=30, error="no card", http_status_code=500)
    charge.events.add(name="exception", time_unix_nano=charge.start_time_unix_nano + 7)
    charge.links.add(trace_id=bytes.fromhex("0af7651916cd43dd8448eb211c80319c"), span_id=b"\1" * 8)
    charge.attributes.extend(attributes({"share": 0.5, "whole": 3.0, "large": 2**60}))
    await store(
        dsn,
        Sent("shop", [span("GET /", 1, at=at, ms=50), charge], [log("declined", 2, at=at, amount=3, retries=1)]),
        Sent("bank", [span("debit", 3, 2, at=at)]),
    )


def _is_empty(answer: Any) -> bool:
    found = next(iter(answer.model_dump().values()))
    return not found


async def test_every_recorded_request_is_answered_with_what_its_client_reads(postgresql: str) -> None:
    await _stored(postgresql)
    seen = set[str]()
    async with jaeger(postgresql) as client:
        for request in _all():
            response = await client.get(request["path"])
            told = f"{request['client']}, {request['when']}: {response.text[:300]}"
            assert response.status_code == 200, told
            assert response.headers["content-type"] == "application/json", told
            assert not _is_empty(check(request["reads"], response.content)), told
            seen.add(request["reads"])
    assert seen == set(SHAPES)


async def test_grafana_makes_its_table_of_the_earliest_span_and_its_tree_of_the_first_parent(postgresql: str) -> None:
    await _stored(postgresql)
    async with jaeger(postgresql) as client:
        (trace,) = check("grafana_traces", (await client.get("/api/traces?service=bank")).content).data
    earliest = min(trace.spans, key=lambda one: one.startTime)
    assert (trace.processes[earliest.processID].serviceName, earliest.operationName) == ("shop", "GET /")
    assert earliest.duration == 50_000
    parents = {
        one.operationName: [r.spanID for r in one.references if r.refType == "CHILD_OF"][:1] for one in trace.spans
    }
    assert parents == {"GET /": [], "charge": ["0000000000000001"], "debit": ["0000000000000002"]}


async def test_both_versions_tell_the_same_trace(postgresql: str) -> None:
    await _stored(postgresql)
    async with jaeger(postgresql) as client:
        (first,) = check("page_traces", (await client.get(f"/api/traces/{TRACE_ID}")).content).data
        third = check("v3_trace", (await client.get(f"/api/v3/traces/{TRACE_ID}")).content).result
    spans = {
        one.spanId: (one.name, int(one.startTimeUnixNano) // 1000, len(one.events), one.parentSpanId)
        for resource in third.resourceSpans
        for scope in resource.scopeSpans
        for one in scope.spans
    }
    parents = {one.spanID: next((r.spanID for r in one.references), "") for one in first.spans}
    assert spans == {
        one.spanID: (one.operationName, one.startTime, len(one.logs), parents[one.spanID]) for one in first.spans
    }
