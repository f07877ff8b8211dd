"""Which traces a search finds: as Jaeger has it, one span meets all that is asked for."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.query.jaeger.service import data, jaeger
from tests.query.telemetry import TRACE_ID, Sent, attributes, log, span, store

NOW = datetime.now(UTC)
OLD, OTHER = "0" * 30 + "1d", "0" * 31 + "2"


def _ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


def _micros(at: datetime) -> int:
    return round(at.timestamp() * 1e6)


def _paying() -> Span:
    found = span("pay", 3, 2, at=_ago(minutes=1), ms=20, http_status_code=500, error="no card")
    found.kind = Span.SPAN_KIND_CLIENT
    found.trace_state = "vendor=x"
    event = found.events.add(name="exception", time_unix_nano=found.start_time_unix_nano)
    event.attributes.extend(attributes({"exception.type": "CardError"}))
    return found


async def _stored(dsn: str) -> None:
    shop = Sent(
        "shop",
        [
            span("GET /", 1, at=_ago(minutes=1), ms=100, user_id="u-1", status="attribute"),
            span("charge", 2, 1, at=_ago(minutes=1), ms=30, retries=2),
            _paying(),
            span("GET /", 5, at=_ago(minutes=3), ms=700, trace_id=OTHER),
        ],
        [log("shipped", 2, at=_ago(minutes=1))],
    )
    bank = Sent("bank", [span("GET /", 6, at=_ago(days=3), ms=50, trace_id=OLD)])
    await store(dsn, shop, bank)


async def _found(dsn: str, **parameters: Any) -> list[str]:
    async with jaeger(dsn) as client:
        return [trace["traceID"] for trace in await data(client, "/api/traces", **parameters)]


async def test_traces_come_whole_and_the_newest_first(postgresql: str) -> None:
    await _stored(postgresql)
    async with jaeger(postgresql) as client:
        first, second = await data(client, "/api/traces", service="shop", operation="GET /")
    assert (first["traceID"], second["traceID"]) == (TRACE_ID, OTHER)
    assert [one["operationName"] for one in first["spans"]] == ["GET /", "charge", "pay"]
    assert [len(one["logs"]) for one in first["spans"]] == [0, 1, 1]
    assert await _found(postgresql, service="shop", limit=1) == [TRACE_ID]


_CASES: list[tuple[Mapping[str, Any], bool]] = [
    ({"operation": "charge"}, True),
    ({"operation": "nothing"}, False),
    ({"minDuration": "90ms", "maxDuration": "0.2s"}, True),
    ({"operation": "charge", "minDuration": "90ms"}, False),
    ({"tags": {"user.id": "u-1"}}, True),
    ({"tags": {"user.id": "u-1", "retries": "2"}}, False),
    ({"tags": {"http.status.code": "500"}}, True),
    ({"tag": "http.status.code:500"}, True),
    ({"tag": "http.status.code:404"}, False),
    ({"tags": {"error": "true"}}, True),
    ({"tags": {"error": "false"}}, True),
    ({"operation": "pay", "tags": {"error": "false"}}, False),
    ({"tags": {"error": "perhaps"}}, False),
    ({"tags": {"span.status": "error"}}, True),
    ({"tags": {"span.kind": "client"}}, True),
    ({"tags": {"span.kind": "producer"}}, False),
    ({"tags": {"otel.status_code": "ERROR", "otel.status_description": "no card"}}, True),
    ({"tags": {"w3c.tracestate": "vendor=x"}}, True),
    ({"tags": {"service.version": "1.2.0"}}, True),
    ({"tags": {"exception.type": "CardError"}}, True),
    ({"tags": {"event": "exception"}}, True),
    ({"tags": {"status": "attribute"}}, True),
    ({"tags": {"name": "GET /"}}, False),
    ({"tags": {"status": "ERROR"}}, False),
    ({"maxDuration": "200ms", "start": _micros(_ago(minutes=2)), "end": _micros(NOW)}, True),
    ({"start": _micros(_ago(seconds=30)), "end": _micros(NOW)}, False),
    ({"start": _micros(NOW), "end": _micros(_ago(minutes=5))}, False),
]


async def test_one_span_meets_everything(postgresql: str) -> None:
    await _stored(postgresql)
    async with jaeger(postgresql) as client:
        for wanted, found in _CASES:
            traces = await data(client, "/api/traces", service="shop", **wanted)
            assert (TRACE_ID in [trace["traceID"] for trace in traces]) is found, wanted


async def test_without_a_start_two_days_are_searched(postgresql: str) -> None:
    await _stored(postgresql)
    assert await _found(postgresql, service="bank") == []
    assert await _found(postgresql, service="bank", start=_micros(_ago(days=4)), end=_micros(NOW)) == [OLD]


async def test_traces_by_their_ids_and_those_that_are_not_here(postgresql: str) -> None:
    await _stored(postgresql)
    async with jaeger(postgresql) as client:
        query = {"traceID": [OTHER.lstrip("0"), TRACE_ID.upper(), "abc"]}
        answer = (await client.get("/api/traces", params=query)).json()
    assert [trace["traceID"] for trace in answer["data"]] == [OTHER, TRACE_ID]
    assert answer["errors"] == [{"msg": "trace not found", "traceID": "abc".zfill(32)}]


async def test_services_and_operations(postgresql: str) -> None:
    await _stored(postgresql)
    await store(postgresql, Sent("talker", logs=[log("only a log", at=_ago(minutes=1))]))
    async with jaeger(postgresql) as client:
        assert await data(client, "/api/services") == ["bank", "shop"]
        assert await data(client, "/api/services/shop/operations") == ["GET /", "charge", "pay"]
        assert await data(client, "/api/operations", service="shop", spanKind="client") == [
            {"name": "pay", "spanKind": "client"}
        ]
        assert await data(client, "/api/services/unknown/operations") == []
        assert await data(client, "/api/traces", service="unknown") == []


async def test_service_with_a_slash_in_its_name_has_operations(postgresql: str) -> None:
    await store(postgresql, Sent("team/shop", [span("GET /", 1, at=_ago(minutes=1))]))
    async with jaeger(postgresql) as client:
        assert await data(client, "/api/services/team/shop/operations") == ["GET /"]
        assert await data(client, "/api/services/team%2Fshop/operations") == ["GET /"]


async def test_spans_of_nobody_are_found_under_the_name_that_jaeger_has_for_it(postgresql: str) -> None:
    await store(postgresql, Sent("", [span("GET /", 1, at=_ago(minutes=1))]))
    async with jaeger(postgresql) as client:
        assert await data(client, "/api/services") == ["OTLPResourceNoServiceName"]
        assert await data(client, "/api/services/OTLPResourceNoServiceName/operations") == ["GET /"]
        (trace,) = await data(client, "/api/traces", service="OTLPResourceNoServiceName")
    assert trace["processes"]["p1"]["serviceName"] == "OTLPResourceNoServiceName"


async def test_dependencies_are_calls_between_services_in_the_lookback(postgresql: str) -> None:
    await _stored(postgresql)
    other = [span("debit", 7, 3, at=_ago(minutes=1)), span("log", 8, 7, at=_ago(minutes=1))]
    await store(postgresql, Sent("bank", other), Sent("audit", [span("note", 9, 7, at=_ago(minutes=1))]))
    async with jaeger(postgresql) as client:
        both = [
            {"parent": "bank", "child": "audit", "callCount": 1},
            {"parent": "shop", "child": "bank", "callCount": 1},
        ]
        assert await data(client, "/api/dependencies") == both
        assert await data(client, "/api/dependencies", service="audit") == both[:1]
        assert await data(client, "/api/dependencies", endTs=_micros(NOW) // 1000, lookback=1000) == []
