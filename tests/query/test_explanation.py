"""Causes planted in requests: the verdict names each, with its figures."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ganglion_query.answers.explanation import Baseline, Explanation, MissingSpan, explain, explained
from ganglion_query.causes.past import Occurrence, Operation, Past, Usual
from ganglion_query.causes.request import requested
from ganglion_query.fingerprints import template
from ganglion_query.model import LogRow, NotFoundError, SpanRow, Trace
from ganglion_query.reader import Reader, Scope
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.query.rows import ID, log_row, span_row, trace_of
from tests.query.telemetry import ERROR, INFO, TRACE_ID, Sent, attributes, log, span, store

NOW = datetime.now(UTC).replace(microsecond=0)
WARNING = 13
REFUSED = "StoreUnavailableError: the store refused the connection"


def _past(usual: Mapping[str, float], *, error_rate: float = 0.0, more: Mapping[str, Any] | None = None) -> Past:
    """Return a past of 100 requests in which each operation took about so many milliseconds."""
    baselines = {("shop", name): Baseline(100, error_rate, ms, ms * 1.2, ms * 1.3) for name, ms in usual.items()}
    operations: dict[Operation, Occurrence] = {("shop", name): Occurrence(1.0, 1.0, 1) for name in usual}
    longest = max(usual.values(), default=0)
    values: dict[str, Any] = {
        "traces": [str(one) for one in range(40)],
        "p50_ms": longest,
        "p95_ms": longest * 1.2,
        "operations": operations,
    }
    return Past(baselines, Usual(**{**values, **(more or {})}))


def _explained(*rows: SpanRow | LogRow, past: Past) -> Explanation:
    return explained(requested(trace_of(*rows), past))


def _ask(search: float = 8, generate: float = 55, **fields: Any) -> list[SpanRow]:
    """Return a request: GET /ask over search and generate."""
    end = 2 + search + generate
    return [
        span_row("a", name="GET /ask", ms=end + 5, **fields),
        span_row("b", "a", name="search", at=2, ms=search),
        span_row("c", "a", name="generate", at=2 + search, ms=generate),
    ]


USUAL = _past({"GET /ask": 70, "search": 8, "generate": 55})


def test_a_usual_request_is_normal() -> None:
    found = _explained(*_ask(), past=USUAL)
    assert found.outcome == "normal"
    assert found.verdict == "Normal: GET /ask took 70.0 ms, usually 70.0 ms (p95 84.0 ms, of 100 the day before)."
    assert (found.findings, found.first_error, found.missing) == ([], None, [])


def test_what_is_no_slower_than_one_in_twenty_is_normal() -> None:
    spread = Past({("shop", "GET /ask"): Baseline(100, 0.0, 70.0, 900.0, 1000.0)}, Usual())
    assert _explained(*_ask(generate=800), past=spread).outcome == "normal"
    assert _explained(*_ask(generate=950), past=spread).outcome == "slow"


def test_a_slow_span_is_named_with_its_usual() -> None:
    found = _explained(*_ask(generate=2400), past=USUAL)
    assert found.outcome == "slow"
    assert found.verdict == "Slow: generate took 2.40 s of 2.42 s, 44 times its usual 55.0 ms (p99 71.5 ms)."
    assert [(one.name, one.unusual, round(one.excess_ms)) for one in found.spans] == [
        ("GET /ask", True, 0),
        ("search", False, 0),
        ("generate", True, 2345),
    ]
    assert found.findings[0].span_id == "c"
    assert found.spans[2].times_usual == pytest.approx(43.6, abs=0.1)


def test_time_that_passed_below_no_span_is_placed() -> None:
    rows = [
        span_row("a", name="GET /ask", ms=2000),
        span_row("b", "a", name="search", at=2, ms=8),
        span_row("c", "a", name="generate", at=1940, ms=55),
    ]
    assert _explained(*rows, past=USUAL).verdict == (
        "Slow: GET /ask took 2.00 s, 29 times its usual 70.0 ms (p99 91.0 ms); "
        "for 1.93 s of it, after search and before generate, nothing below it ran."
    )


def test_calls_that_are_each_slower_are_told_together() -> None:
    past = _past({"GET /ask": 100, "embed": 10}, more={"operations": {("shop", "embed"): Occurrence(1.0, 8.0, 10)}})
    calls = [span_row(f"e{one}", "a", name="embed", at=one * 50, ms=50) for one in range(8)]
    verdict = _explained(span_row("a", name="GET /ask", ms=400), *calls, past=past).verdict
    assert verdict == "Slow: 8 calls of embed took 400 ms together, of 400 ms; usually 10.0 ms each."


def test_what_nobody_waited_for_is_not_the_cause() -> None:
    rows = [*_ask(generate=1000), span_row("m", "a", name="mail", at=5, ms=9000)]
    past = _past({"GET /ask": 70, "search": 8, "generate": 55, "mail": 10})
    found = _explained(*rows, past=past)
    assert found.verdict.startswith("Slow: generate took 1.00 s of 1.01 s")
    assert any("mail took 9.00 s, 900 times" in one.title for one in found.findings)


def test_an_operation_that_is_new_is_named() -> None:
    rows = [*_ask(), span_row("d", "a", name="rerank", at=65, ms=935)]
    rows[0] = span_row("a", name="GET /ask", ms=1005)
    assert _explained(*rows, past=USUAL).verdict == (
        "Slow: rerank took 935 ms of 1.00 s, an operation that was not there the day before."
    )


def test_a_query_for_each_item_is_named() -> None:
    queries = [span_row(f"q{one}", "a", name="query", at=one * 10, ms=9) for one in range(120)]
    found = _explained(
        span_row("a", name="GET /orders", ms=1200), *queries, past=_past({"GET /orders": 30, "query": 9})
    )
    assert found.outcome == "slow"
    assert found.verdict == "Slow: query ran 120 times under GET /orders, usually once: 1.08 s of 1.20 s."
    assert found.findings[0].kind == "repeated"


def test_many_calls_that_are_usual_are_no_finding() -> None:
    queries = [span_row(f"q{one}", "a", name="query", at=one * 10, ms=9) for one in range(50)]
    past = _past({"GET /orders": 500, "query": 9}, more={"operations": {("shop", "query"): Occurrence(1, 50, 80)}})
    found = _explained(span_row("a", name="GET /orders", ms=500), *queries, past=past)
    assert (found.outcome, found.findings) == ("normal", [])


def test_many_calls_of_which_nothing_is_known_are_named_where_they_take_the_time() -> None:
    queries = [span_row(f"q{one}", "a", name="query", at=one * 10, ms=9) for one in range(20)]
    found = _explained(span_row("a", name="GET /orders", ms=200), *queries, past=_past({"GET /orders": 20}))
    assert found.verdict == "Slow: query ran 20 times under GET /orders: 180 ms of 200 ms."
    found = _explained(span_row("a", name="GET /orders", ms=2000), *queries, past=_past({"GET /orders": 1990}))
    assert (found.outcome, found.findings) == ("normal", [])


def test_a_wait_in_which_nothing_ran_is_named() -> None:
    rows = [
        span_row("a", name="upload", ms=20),
        span_row("b", "a", name="index", at=5000, ms=100, kind="CONSUMER", service_name="worker"),
    ]
    past = _past({"upload": 20}, more={"p50_ms": 150, "p95_ms": 200, "operations": {}})
    found = _explained(*rows, past=past)
    assert (found.outcome, found.duration_ms) == ("slow", 5100)
    assert found.verdict == (
        "Slow: nothing ran for 4.98 s of 5.10 s: from the end of upload to the start of index (worker)."
    )


def test_a_failure_is_told_where_it_began() -> None:
    event = {"name": "exception", "attributes": {"exception.type": "StoreUnavailableError"}}
    event["attributes"] = {**event["attributes"], "exception.message": "the store refused the connection"}  # type: ignore[dict-item]
    rows: list[SpanRow | LogRow] = [
        span_row("a", name="GET /ask", ms=20, status="ERROR"),
        span_row("b", "a", name="search", at=2, ms=10, status="ERROR", status_message=REFUSED),
        span_row("c", "b", name="query", at=4, ms=2, status="ERROR", events=[event]),
        span_row("d", "a", name="cache", at=1, ms=1),
        log_row("search failed", "b", at=12, level="ERROR", error=REFUSED),
    ]
    found = _explained(*rows, past=_past({"GET /ask": 70, "search": 8, "query": 2}))
    assert found.outcome == "failed"
    assert found.verdict == (
        f"Failed: query could not reach what it needs: {REFUSED}, "
        "6.00 ms into the request; none of 100 such calls failed the day before."
    )
    assert [(one.kind, one.span_id) for one in found.findings if one.kind == "error"] == [("error", "c")]
    assert found.first_error == found.findings[0]


def _failing(*children: SpanRow, ms: float = 100, **fields: Any) -> list[SpanRow]:
    return [span_row("a", name="GET /ask", ms=ms, status="ERROR", **fields), *children]


def _failed(id_: str, parent: str = "a", **fields: Any) -> SpanRow:
    return span_row(id_, parent, status="ERROR", status_message="no answer", **fields)


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        (
            _failing(
                span_row("b", "a", at=1, ms=1, status="ERROR", status_message="cache: no such key"),
                span_row("c", "a", at=5, ms=94, status="ERROR", status_message="model: out of tokens"),
            ),
            "c",
        ),
        (_failing(*[_failed(f"t{one}", at=one * 30, ms=25) for one in range(3)]), "t0"),
        (_failing(_failed("b", at=1, ms=1), status_message="ValueError: no"), "a"),
        (_failing(span_row("b", "a", ms=99), _failed("c", "b", ms=98)), "c"),
        (
            _failing(
                span_row("b", "a", ms=50, status="OK"),
                span_row("c", "b", ms=40, status="ERROR", status_message="first try"),
                status_message="ValueError: no",
            ),
            "a",
        ),
        (
            _failing(
                span_row("b", "a", at=1, ms=20, status="ERROR", status_message="ValueError: wrong key"),
                _failed("c", at=30, ms=69),
                status_message="ValueError: wrong key",
            ),
            "b",
        ),
    ],
    ids=[
        *("the last", "the first try", "its own", "through a silent span", "not below one that went well"),
        "the one that it tells itself",
    ],
)  # fmt: skip
def test_of_several_errors_the_one_that_made_the_request_fail_is_the_cause(rows: list[SpanRow], cause: str) -> None:
    found = _explained(*rows, past=USUAL)
    assert found.first_error is not None
    assert (found.outcome, found.first_error.span_id) == ("failed", cause)


def test_an_error_that_was_handled_does_not_fail_the_request() -> None:
    rows = [*_ask(), span_row("d", "a", at=3, ms=1, name="cache", status="ERROR", status_message="down")]
    found = _explained(*rows, past=USUAL)
    assert found.outcome == "normal"
    assert found.first_error is not None
    assert found.first_error.title == "cache failed: down"


@pytest.mark.parametrize(
    ("code", "outcome"), [(200, "normal"), (429, "failed"), (503, "failed"), ("5" * 5000, "normal")]
)
def test_the_status_of_a_response_says_whether_it_failed(code: int | str, outcome: str) -> None:
    rows = _ask(attributes={"http.response.status_code": code})
    rows[2] = span_row("c", "a", name="generate", at=10, ms=55, status="ERROR", status_message="RateLimited: later")
    found = _explained(*rows, past=USUAL)
    assert found.outcome == outcome
    assert found.first_error is not None
    assert found.first_error.span_id == "c"


def test_an_error_that_is_a_status_alone_is_told_as_one() -> None:
    rows = [*_ask(), span_row("d", "a", at=3, ms=1, name="GET", status="ERROR", attributes={"error.type": "401"})]
    found = _explained(*rows, past=USUAL)
    assert found.first_error is not None
    assert found.first_error.title == "GET failed: HTTP 401"


def test_an_error_of_a_log_alone_is_a_cause_too() -> None:
    found = _explained(
        *_ask(attributes={"http.status_code": "500"}), log_row("boom", "gone", at=20, level="CRITICAL"), past=USUAL
    )
    assert found.verdict == "Failed: boom, 20.0 ms into the request."


def test_spans_that_should_be_here_are_missing() -> None:
    rows: list[SpanRow | LogRow] = [
        *_ask(),
        log_row("x", "gone", at=5),
        log_row("y", "gone", at=6),
        span_row("o", "lost", at=4, ms=1),
    ]
    occurrences = {**USUAL.usual.operations, ("worker", "rerank"): Occurrence(0.9, 1, 1)}
    occurrences["shop", "seldom"] = Occurrence(0.5, 1, 1)
    found = _explained(*rows, past=_past({"GET /ask": 70}, more={"operations": occurrences}))
    assert found.missing == [
        MissingSpan("parent", "lost", None, "shop", None),
        MissingSpan("log", "gone", None, "shop", None),
        MissingSpan("usual", None, "rerank", "worker", 0.9),
    ]


def test_a_missing_span_is_in_the_verdict() -> None:
    root, _, generate = _ask()
    assert _explained(root, generate, past=USUAL).verdict.endswith(
        "; but search (shop) is missing: all of such requests have it."
    )


def test_who_called_without_spans_is_not_in_the_verdict() -> None:
    found = _explained(*_ask(parent_span_id="browser"), past=USUAL)
    assert [one.why for one in found.missing] == ["caller"]
    assert found.verdict.startswith("Normal: ")
    assert "missing" not in found.verdict


def test_a_trace_cut_off_at_the_limit_misses_nothing() -> None:
    trace = Trace(ID, _ask()[:1], [], truncated=True)
    found = explained(requested(trace, USUAL))
    assert (found.missing, found.truncated) == ([], True)


def test_without_a_past_it_says_where_the_time_went() -> None:
    found = _explained(*_ask(generate=2400), past=Past({}, Usual()))
    assert found.outcome == "unknown"
    assert found.verdict == (
        "Unknown: nothing like GET /ask the day before to compare with; of its 2.42 s, generate took 2.40 s."
    )
    few = Past({("shop", "GET /ask"): Baseline(2, 0, 1, 1, 1)}, Usual())
    assert _explained(*_ask(), past=few).verdict.startswith("Unknown: only 2 requests like GET /ask the day before")


def test_logs_that_matter_are_serious_or_rare_in_what_went_differently() -> None:
    messages = {template("took 12 steps"): 1.0, "seldom": 0.05}
    rows: list[SpanRow | LogRow] = [
        *_ask(generate=2400),
        log_row("took 99 steps", "c", at=10),
        log_row("retrying in 5 s", "c", at=11),
        log_row("retrying in 7 s", "c", at=12),
        log_row("new, but in a usual span", "b", at=13),
        log_row("slow", "b", at=14, level="WARNING"),
    ]
    found = _explained(*rows, past=_past({"GET /ask": 70, "search": 8, "generate": 55}, more={"messages": messages}))
    assert [one.message for one in found.logs] == ["retrying in 5 s", "retrying in 7 s", "slow"]
    assert [one.title for one in found.findings if one.kind == "log"] == [
        "warning slow, which such requests hardly ever log",
        "info retrying in 5 s (2 times), which such requests hardly ever log",
    ]


def _request(trace: int, at: datetime, generate: float = 55, error: str = "") -> list[Span]:
    id_ = f"{trace:032x}"
    values: dict[str, Any] = {"trace_id": id_}
    return [
        span("GET /ask", 1, at=at, ms=generate + 15, error=error, **values),
        span("search", 2, 1, at=at + timedelta(milliseconds=2), ms=8, error=error, **values),
        span("generate", 3, 1, at=at + timedelta(milliseconds=10), ms=generate, **values),
    ]


def _day(number: int = 30, **before: float) -> Sequence[Span]:
    """Return requests spread over the day before NOW."""
    step = timedelta(hours=23) / number
    return [one for at in range(number) for one in _request(at + 1, NOW - step * (at + 1) - timedelta(**before))]


SLOW = 0xABC


async def test_a_request_is_explained_by_its_day_before(postgresql: str) -> None:
    old = [one for at in range(20) for one in _request(500 + at, NOW - timedelta(hours=25 + at), generate=5000)]
    later = [one for at in range(20) for one in _request(600 + at, NOW + timedelta(seconds=at + 1), generate=9000)]
    await store(postgresql, Sent("rag", [*_day(), *old, *later, *_request(SLOW, NOW, generate=2400)]))
    found = explain(Reader(postgresql), f"{SLOW:032x}")
    assert found.verdict == "Slow: generate took 2.40 s of 2.42 s, 44 times its usual 55.0 ms (p99 55.0 ms)."
    assert found.spans[0].baseline == Baseline(30, 0.0, 70.0, 70.0, 70.0)
    assert found.baseline_since == NOW - timedelta(days=1)


async def test_a_failure_is_explained_by_the_stored_rows(postgresql: str) -> None:
    logs = [log("search failed", 2, at=NOW, severity=ERROR, trace_id=f"{SLOW:032x}", exception_type="StoreError")]
    await store(postgresql, Sent("rag", [*_day(), *_request(SLOW, NOW, error="no")], logs))
    found = explain(Reader(postgresql), f"{SLOW:032x}")
    assert (found.outcome, found.first_error and found.first_error.span_id) == ("failed", "0000000000000002")
    assert found.verdict.startswith("Failed: search failed: StoreError")
    assert found.verdict.endswith("none of 30 such calls failed the day before.")


async def test_what_usual_requests_have_is_missed(postgresql: str) -> None:
    await store(postgresql, Sent("rag", [*_day(), _request(SLOW, NOW)[0]]))
    found = explain(Reader(postgresql), f"{SLOW:032x}")
    assert [(one.why, one.name, one.share) for one in found.missing] == [
        ("usual", "search", 1.0),
        ("usual", "generate", 1.0),
    ]


async def test_rare_logs_are_told_apart_from_usual_ones(postgresql: str) -> None:
    usual = [log("prompt of 12 words", 3, at=NOW - timedelta(hours=2), trace_id=f"{one + 1:032x}") for one in range(30)]
    here = [
        log(text, 3, at=NOW + timedelta(milliseconds=20), severity=level, trace_id=f"{SLOW:032x}")
        for text, level in (("prompt of 99 words", INFO), ("model reloaded", INFO), ("slow_generation", WARNING))
    ]
    await store(postgresql, Sent("rag", [*_day(), *_request(SLOW, NOW, generate=2400)], [*usual, *here]))
    found = explain(Reader(postgresql), f"{SLOW:032x}")
    assert sorted(one.message or "" for one in found.logs) == ["model reloaded", "slow_generation"]


async def test_a_request_id_means_its_newest_trace(postgresql: str) -> None:
    first, second, third = (f"{one:032x}" for one in (1, 2, 3))
    spans = [
        span("GET /", 1, at=NOW - timedelta(hours=1), trace_id=first, request_id="r-1"),
        span("GET /", 1, at=NOW, trace_id=second, request_id="r-1"),
        span("GET /", 1, at=NOW, trace_id=third, request_id="r-2"),
    ]
    logs = [
        log("x", 1, at=NOW - timedelta(hours=1), trace_id=first, request_id="r-1"),
        log("x", 1, at=NOW, trace_id=second, request_id="r-1"),
    ]
    await store(postgresql, Sent("rag", spans, logs))
    reader = Reader(postgresql)
    assert explain(reader, "r-1").trace_id == second
    assert explain(reader, " r-2 ").trace_id == third
    with pytest.raises(NotFoundError, match="no trace and no request of the id 'r-3'"):
        explain(reader, "r-3")
    with pytest.raises(NotFoundError):
        explain(reader, "f" * 32)


async def test_logs_without_spans_are_explained(postgresql: str) -> None:
    logs = [log("fine", 1, at=NOW), log("boom", 1, at=NOW + timedelta(seconds=1), severity=ERROR)]
    await store(postgresql, Sent("rag", [], logs))
    found = explain(Reader(postgresql), TRACE_ID)
    assert (found.outcome, found.verdict, found.duration_ms) == (
        "failed",
        "Failed: boom; no span of it is stored.",
        1000,
    )
    assert found.first_error is not None


@pytest.mark.parametrize("status", ["ERROR", "UNSET"])
def test_any_shape_is_explained_quickly(status: str) -> None:
    chain = [
        span_row(str(one), str(one - 1) if one else None, at=one / 100, ms=100, status=status) for one in range(5000)
    ]
    fan = [span_row(f"f{one}", "0", at=one / 100, ms=1, status=status, status_message="no") for one in range(5000)]
    started = time.thread_time()
    found = _explained(*chain, *fan, log_row("boom", "4999", level="ERROR"), past=USUAL)
    assert time.thread_time() - started < 8
    assert (len(found.spans), found.outcome) == (10_000, "failed" if status == "ERROR" else "unknown")


def test_what_went_up_is_not_told_again() -> None:
    rows: list[SpanRow | LogRow] = [
        span_row("a", name="GET /ask", ms=20, status="ERROR"),
        span_row("b", "a", name="search", at=2, ms=10, status="ERROR", status_message="no"),
        log_row("search failed", "b", at=11, level="ERROR", error="shop.errors.StoreError: no"),
        log_row("http_response_sent", "a", at=19, level="WARNING"),
        log_row("pool is nearly full", "a", at=1, level="WARNING"),
    ]
    found = _explained(*rows, past=Past({}, Usual()))
    assert [one.title for one in found.findings] == ["search failed: StoreError: no", "warning pool is nearly full"]
    assert len(found.logs) == 3


async def test_a_tenant_is_told_of_its_own_requests_alone(postgresql: str) -> None:
    def requests(tenant: str, first: int, at: datetime, generate: float) -> list[Span]:
        made = _request(first, at, generate=generate)
        for one in made:
            one.attributes.extend(attributes({"tenant.id": tenant}))
        return made

    before = [NOW - timedelta(hours=one + 1) for one in range(10)]
    mine = [one for number, at in enumerate(before) for one in requests("a", number + 1, at, 55)]
    theirs = [one for number, at in enumerate(before) for one in requests("b", number + 100, at, 5000)]
    await store(postgresql, Sent("rag", [*mine, *theirs, *requests("a", SLOW, NOW, 2400)]))
    reader = Reader(postgresql).within(Scope(("a",)))
    found = explain(reader, f"{SLOW:032x}")
    assert found.verdict == "Slow: generate took 2.40 s of 2.42 s, 44 times its usual 55.0 ms (p99 55.0 ms)."
    with pytest.raises(NotFoundError):
        explain(reader, f"{100:032x}")
