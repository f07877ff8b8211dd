"""How it answers what cannot be, what is not there, and who may not see."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from ganglion_query.api.access import Caller, Callers
from ganglion_query.jaeger.questions import Room, Traces, whole_traces
from ganglion_query.reader import Reader, Scope

from tests.query.jaeger.service import NOBODY, data, jaeger
from tests.query.telemetry import TRACE_ID, Sent, log, span, store

NOW = datetime.now(UTC)
OTHER = "0" * 31 + "2"
EXAMPLE = "query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2026-01-02T00:00:00Z"

_NO_LENGTH = "is no length such as 200ms or 1.5s"
_NO_JSON = "malformed 'tags' parameter, cannot unmarshal JSON: Input should be a valid string"
WRONG = {
    "/api/traces": "parameter 'service' is required",
    "/api/traces?service=": "parameter 'service' is required",
    "/api/traces?service=a&limit=-1": "unable to parse param 'limit': it is negative",
    "/api/traces?service=a&limit=many": "unable to parse param 'limit': 'many' is no integer",
    "/api/traces?service=a&start=yesterday": "unable to parse param 'start': 'yesterday' is no integer",
    "/api/traces?service=a&end=9223372036854775807": "unable to parse param 'end': it is out of range",
    "/api/traces?service=a&minDuration=2s&maxDuration=1s": "'maxDuration' should be greater than 'minDuration'",
    "/api/traces?service=a&minDuration=fast": f"unable to parse param 'minDuration': 'fast' {_NO_LENGTH}",
    "/api/traces?service=a&tag=alone": "malformed 'tag' parameter, expecting key:value, received: alone",
    "/api/traces?service=a&tags=%7B%22a%22%3A1%7D": _NO_JSON,
    "/api/traces?service=a&raw=maybe": "unable to parse param 'raw': 'maybe' is neither true nor false",
    "/api/traces?traceID=zz": "cannot parse traceID param: 'zz' is not at most 32 hexadecimal digits",
    "/api/traces/zz": "cannot parse traceID param: 'zz' is not at most 32 hexadecimal digits",
    f"/api/traces/{TRACE_ID}?start=now": "unable to parse param 'start': 'now' is no integer",
    "/api/operations": "parameter 'service' is required",
    "/api/dependencies?endTs=now": "unable to parse param 'endTs': 'now' is no integer",
    "/api/dependencies?lookback=9223372036854775": "unable to parse param 'lookback': it is out of range",
}
WRONG_IN_V3 = {
    "/api/v3/traces": "query.startTimeMin and query.startTimeMax are required",
    f"/api/v3/traces?{EXAMPLE}&query.filter=%7B%7D": "query.filter is not supported here; query.attributes is",
    f"/api/v3/trace-summaries?{EXAMPLE}&query.durationMin=2": (
        f"unable to parse param 'query.durationMin': '2' {_NO_LENGTH}"
    ),
    f"/api/v3/trace-summaries?{EXAMPLE.replace('01-02', '01-01')}&query.startTimeMin=2026-01-03T00:00:00Z": (
        "query.startTimeMin must be before query.startTimeMax"
    ),
    "/api/v3/operations": "parameter 'service' is required",
    "/api/v3/traces/zz": "cannot parse traceID param: 'zz' is not at most 32 hexadecimal digits",
}


async def test_a_wrong_value_is_told_before_the_database_is_asked() -> None:
    async with jaeger(NOBODY) as client:
        for path, reason in WRONG.items():
            response = await client.get(path)
            assert (response.status_code, response.json()["errors"]) == (400, [{"code": 400, "msg": reason}]), path
            assert response.json()["data"] is None
        for path, reason in WRONG_IN_V3.items():
            response = await client.get(path)
            told = {"error": {"httpCode": 400, "message": reason}}
            assert (response.status_code, response.json()) == (400, told), path


async def test_what_jaeger_does_with_other_parts_of_it_is_not_supported() -> None:
    async with jaeger(NOBODY) as client:
        for method, path in (
            (
                "GET",
                "/api/metrics/latencies?service=shop&quantile=0.95&endTs=1&lookback=3600000&step=60000&ratePer=600000",
            ),
            ("GET", "/api/metrics/minstep"),
            ("POST", f"/api/archive/{TRACE_ID}"),
            ("POST", "/api/transform"),
        ):
            response = await client.request(method, path)
            assert (response.status_code, response.json()["errors"][0]["code"]) == (501, 501), path
        assert (await client.get("/api/deep-dependencies")).status_code == 404
        assert (await client.get("/api/v3/nothing")).json()["error"]["httpCode"] == 404


async def test_a_trace_that_is_not_here_is_not_found(postgresql: str) -> None:
    await store(postgresql, Sent(spans=[span("GET /", 1, at=NOW)]))
    async with jaeger(postgresql) as client:
        response = await client.get(f"/api/traces/{OTHER}")
        assert (response.status_code, response.json()["errors"]) == (404, [{"code": 404, "msg": "trace not found"}])
        response = await client.get(f"/api/v3/traces/{OTHER}")
        assert (response.status_code, response.json()["error"]["httpCode"]) == (404, 404)
        for form in (TRACE_ID, TRACE_ID.upper()):
            assert (await data(client, f"/api/traces/{form}"))[0]["traceID"] == TRACE_ID


async def test_a_database_that_is_away_is_told_and_without_its_password() -> None:
    async with jaeger(NOBODY.replace("nobody", "nobody:secret")) as client:
        for path in ("/api/services", "/api/v3/services"):
            response = await client.get(path)
            assert response.status_code == 503
            assert "secret" not in response.text


async def test_a_question_that_takes_too_long_is_told(postgresql: str) -> None:
    await store(postgresql, Sent(spans=[span("GET /", 1, at=NOW)]))
    async with (
        jaeger(postgresql, timeout=0.2) as client,
        await psycopg.AsyncConnection.connect(postgresql) as other,
    ):
        await other.execute("LOCK TABLE spans IN ACCESS EXCLUSIVE MODE")
        response = await client.get("/api/services")
    assert response.status_code == 504
    assert response.json()["errors"][0]["code"] == 504


HOSTILE = (
    "'; DROP TABLE spans; --",
    "%(service)s {service} %s",
    "a\0b",
    "\\",
    '"',
    "<script>alert(1)</script>",
    "../../api/v1/session",
    "💥" * 200,
)


@pytest.mark.parametrize("place", ["service", "operation", "key", "value"])
async def test_hostile_texts_are_only_texts(postgresql: str, place: str) -> None:
    await store(postgresql, Sent(spans=[span("GET /", 1, at=NOW)]))
    async with jaeger(postgresql) as client:
        for text in HOSTILE:
            tags = {text: "1"} if place == "key" else {"a": text}
            wanted: dict[str, Any] = {"service": "shop", "tags": tags} | (
                {place: text} if place in {"service", "operation"} else {}
            )
            assert await data(client, "/api/traces", **wanted) == []
            if place == "service":
                assert await data(client, f"/api/services/{quote(text, safe='')}/operations") == []
                assert await data(client, "/api/operations", service=text) == []
        assert await data(client, "/api/services") == ["shop"]


async def test_very_many_tags_and_ids_are_refused() -> None:
    async with jaeger(NOBODY) as client:
        tags = json.dumps({f"k{number}": "v" for number in range(31)})
        response = await client.get("/api/traces", params={"service": "shop", "tags": tags})
        assert response.json()["errors"] == [{"code": 400, "msg": "more than 30 tags"}]
        deep = "[" * 20_000
        assert (await client.get("/api/traces", params={"service": "shop", "tags": deep})).status_code == 400
        ids = "&".join(f"traceID={number:x}" for number in range(1501))
        response = await client.get(f"/api/traces?{ids}")
        assert response.json()["errors"] == [{"code": 400, "msg": "more than 1500 trace ids"}]


async def test_values_of_spans_stay_what_they_are(postgresql: str) -> None:
    markup = '<img src=x onerror=alert(1)>"\\\u2028'
    await store(postgresql, Sent(markup, [span(markup, 1, at=NOW, note=markup)], [log(markup, 1, at=NOW)]))
    async with jaeger(postgresql) as client:
        (trace,) = await data(client, "/api/traces", service=markup, operation=markup, tags={"note": markup})
        response = await client.get("/api/services")
    assert trace["spans"][0]["operationName"] == markup
    assert trace["spans"][0]["logs"][0]["fields"][2]["value"] == markup
    assert response.headers["content-type"] == "application/json"


async def test_only_who_has_a_token_may_ask_and_sees_its_tenants_alone(postgresql: str) -> None:
    await store(
        postgresql,
        Sent("shop", [span("mine", 1, at=NOW, tenant_id="a"), span("nobody's", 3, 1, at=NOW)]),
        Sent("bank", [span("theirs", 2, at=NOW, tenant_id="b", trace_id=OTHER)]),
    )
    callers = Callers(lambda: [Caller(Callers.digest("token-of-a"), Scope(("a",)))])
    async with jaeger(postgresql, callers) as client:
        assert (await client.get("/api/services")).status_code == 401
        client.headers["authorization"] = "Bearer token-of-a"
        assert await data(client, "/api/services") == ["shop"]
        assert [trace["traceID"] for trace in await data(client, "/api/traces", service="shop")] == [TRACE_ID]
        assert await data(client, "/api/traces", service="bank") == []
        assert (await client.get(f"/api/traces/{OTHER}")).status_code == 404
        (whole,) = await data(client, f"/api/traces/{TRACE_ID}")
        assert [one["operationName"] for one in whole["spans"]] == ["mine", "nobody's"]
        since = (NOW - timedelta(days=1)).isoformat()
        query = {"query.startTimeMin": since, "query.startTimeMax": (NOW + timedelta(days=1)).isoformat()}
        summaries = (await client.get("/api/v3/trace-summaries", params=query)).json()["summaries"]
        assert [one["traceId"] for one in summaries] == [TRACE_ID]


async def test_what_there_is_no_room_for_is_cut_and_said(postgresql: str) -> None:
    ids = [f"{number:032x}" for number in (1, 2, 3, 4)]
    spans = [span("s", number, at=NOW, trace_id=one) for one in ids[1:] for number in (1, 2, 3)]
    await store(postgresql, Sent(spans=spans))
    with Reader(postgresql).session() as session:
        of_each = whole_traces(session, ids, Room(each=2, spans=9, logs=5))
        in_all = whole_traces(session, ids, Room(each=9, spans=5, logs=5))
        to_the_end_of_one = whole_traces(session, ids, Room(each=9, spans=6, logs=5))
        everything = whole_traces(session, ids, Room(each=3, spans=9, logs=5))
    assert _cut(of_each) == ([(2, "2"), (2, "2"), (2, "2")], 0)
    assert _cut(in_all) == ([(3, ""), (2, "2")], 1)
    assert _cut(to_the_end_of_one) == ([(3, ""), (3, "")], 1)
    assert _cut(everything) == ([(3, ""), (3, ""), (3, "")], 0)


def _cut(found: Traces) -> tuple[list[tuple[int, str]], int]:
    return [(len(rows.spans), "".join(rows.notes)[15:16]) for rows in found.rows], len(found.left_out)
