"""How each answer is shown, by exact text: in a pipe, on a narrow terminal, and with what nobody should send."""

import io
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ganglion_query.answers.changes import Change, Changes
from ganglion_query.answers.comparison import Comparison, Estimate, ValueGroup
from ganglion_query.answers.costs import CostGroup, Costs
from ganglion_query.answers.error_groups import ErrorGroup, ErrorGroups, Share
from ganglion_query.answers.explanation import Baseline, Explanation, Finding, MissingSpan, SpanComparison
from ganglion_query.answers.health import OFF, Health, Part, ServiceHealth
from ganglion_query.answers.overview import ScorePoint
from ganglion_query.answers.period import Period
from ganglion_query.answers.quality import Drop, Quality, ScoreTrend, WorstAnswer
from ganglion_query.answers.search import TracePage, TraceSummary
from ganglion_query.answers.trace import CriticalStep
from ganglion_query.model import Spent
from ganglion_query.render.changes import print_changes
from ganglion_query.render.comparison import print_comparison
from ganglion_query.render.costs import print_costs
from ganglion_query.render.error_groups import print_error_groups
from ganglion_query.render.explanation import print_explanation
from ganglion_query.render.health import print_health
from ganglion_query.render.quality import print_quality
from ganglion_query.render.requests import print_requests
from rich.console import Console

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DAY = Period(AT - timedelta(days=1), AT)
ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(
    show: Callable[..., None], answer: Any, *, width: int = 80, terminal: bool = False, **options: Any
) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, no_color=True, color_system=None)
    show(console, answer, **options)
    return file.getvalue().splitlines()


EXPLANATION = Explanation(
    trace_id=ID,
    outcome="failed",
    verdict="Failed: store refused the connection, 12 ms into the request.",
    duration_ms=1500.0,
    findings=[
        Finding("error", 1.0, "store failed: ConnectionError: refused", "12 ms after the request began", "a", AT),
        Finding("missing", 0.2, "the span answer is not here", "", None, None),
    ],
    first_error=None,
    spans=[
        SpanComparison(
            "a", "store", "db", 1200.0, 1200.0, 1200.0, Baseline(400, 0.01, 10.0, 20.0, 30.0), 120.0, 1190, unusual=True
        ),
        SpanComparison("b", "new", "db", 5.0, 5.0, 5.0, None, None, 0, unusual=True),
        SpanComparison("c", "usual", "db", 5.0, 5.0, 5.0, None, None, 0, unusual=False),
    ],
    critical_path=[
        CriticalStep("r", "POST /ask", "web", 0.0, 300.0),
        CriticalStep("x", "tiny", "web", 300.0, 0.5),
        CriticalStep("y", "tinier", "web", 300.5, 0.25),
        CriticalStep("a", "store", "db", 300.75, 1199.25),
    ],
    missing=[
        MissingSpan("parent", "00f067aa0ba902b7", None, None, None),
        MissingSpan("log", "00f067aa0ba902b8", None, "web", None),
        MissingSpan("usual", None, "answer", "web", 0.98),
    ],
    logs=[],
    baseline_since=AT - timedelta(days=1),
    truncated=False,
)


def test_an_explanation_begins_with_its_verdict() -> None:
    assert shown(print_explanation, EXPLANATION) == [
        "failed  4bf92f3577b34da6a3ce929d0e0e4736  1.50 s",
        "Failed: store refused the connection, 12 ms into the request.",
        "",
        "1.  store failed: ConnectionError: refused",
        "    15:00:00.000  12 ms after the request began",
        "2.  the span answer is not here",
        "",
        "What it waited for",
        "span             service    from    time   share",
        "POST /ask        web        0 µs  300 ms    20 %",
        "(2 short steps)           300 ms  750 µs  <0.1 %",
        "store            db       301 ms  1.20 s    80 %",
        "",
        "Against the same operations since 2026-11-19 15:00",
        "span   service     time  usually      p95  times   seen",
        "store  db        1.20 s  10.0 ms  20.0 ms  120 x    400",
        "new    db       5.00 ms                           never",
        "",
        "Missing",
        "  00f067aa0ba902b7 is named as a parent, and is not here: not sent, not yet ",
        "here, or not sampled",
        "  00f067aa0ba902b8 of web has logs, and is not here itself",
        "  answer of web is in 98 % of the requests of this kind, and not in this one",
        "",
        "All of it:  ganglion trace 4bf92f3577b34da6a3ce929d0e0e4736",
    ]


def test_all_spans_are_compared_where_all_is_asked_for() -> None:
    assert not any(line.startswith("usual") for line in shown(print_explanation, EXPLANATION))
    assert any(line.startswith("usual ") for line in shown(print_explanation, EXPLANATION, full=True))


def test_a_list_of_requests_says_what_to_ask_next() -> None:
    one = TraceSummary(
        ID,
        AT,
        2410.0,
        2400.0,
        "rag-service",
        "POST /ask",
        "OK",
        "ERROR",
        8,
        1,
        24,
        {},
        "ada",
        "acme",
        Spent(0.00042, is_computed=True),
        799,
        "RateLimited: slow down",
    )
    assert shown(print_requests, TracePage([one], "abc"), slowest=True) == [
        "   2.40 s  2026-11-20 15:00:00.000  POST /ask  rag-service  user=ada",
        f"           trace={ID}  2.41 s in all  8 spans  24 logs  ≈ $0.00042  799 tokens  1 error",
        "           RateLimited: slow down",
        "",
        "Why was the first so slow?  ganglion explain 4bf92f3577b34da6a3ce929d0e0e4736",
        "More:  --limit, or --cursor abc",
    ]
    plain = TraceSummary(ID, AT, 1.0, 1.0, None, None, "OK", "OK", 1, 0, 0)
    assert shown(print_requests, TracePage([plain], None), slowest=False) == [
        "  1.00 ms  2026-11-20 15:00:00.000  ?",
        "           trace=4bf92f3577b34da6a3ce929d0e0e4736  1 span  0 logs",
        "",
        "Read the first:  ganglion trace 4bf92f3577b34da6a3ce929d0e0e4736",
    ]


def test_errors_by_cause() -> None:
    group = ErrorGroup(
        "f",
        "StoreUnavailableError: refused",
        "data.query of rag-service",
        20,
        1,
        "rising",
        AT,
        AT + timedelta(minutes=1),
        20,
        4,
        {"rag-service": 20},
        [Share("service.version", "1.1.0", 1.0, 0.43)],
        [ID],
        AT + timedelta(seconds=30),
    )
    answer = ErrorGroups(DAY, "20 of 46 requests fail.", 46, 20, [group], truncated=False, others=2)
    assert shown(print_error_groups, answer) == [
        "20 of 46 requests fail.",
        "",
        "    20  StoreUnavailableError: refused  rising",
        "        begins in data.query of rag-service; 2026-11-20 15:00:00 to 2026-11-20 15:01:00",
        "        20 requests, 4 users, 1 in as long before; rag-service 20",
        "        service.version=1.1.0 in 100 % of them, in 43 % of all requests",
        "        trace=4bf92f3577b34da6a3ce929d0e0e4736",
        "",
        "2 rarer causes more; ask for a shorter time, or one service.",
        "",
        "One of them:       ganglion explain 4bf92f3577b34da6a3ce929d0e0e4736",
        "What changed then: ganglion changes --at '2026-11-20 15:00:30'",
    ]


def test_changes_are_numbered_and_lead_on() -> None:
    changes = [
        Change(
            "version",
            "web",
            "web runs version 2 since 2026-11-20 15:00:01 UTC, before 1",
            "count",
            0,
            30,
            3.4,
            9.0,
            AT,
            ID,
        ),
        Change("error_rate", "web", "GET / of web fails in 33 % of 60", "share", 0.02, 0.33, 2.8, 5.0, None, None),
    ]
    answer = Changes(
        AT, Period(AT - timedelta(minutes=30), AT), Period(AT, AT + timedelta(minutes=30)), 1200, 60, changes
    )
    assert shown(print_changes, answer, width=60, terminal=True) == [
        "At 2026-11-20 15:00:00: 1,200 requests in 30 min before, 60 ",
        "in 30 min after",
        "",
        "1.  version     web runs version 2 since 2026-11-20 15:00:01",
        "                UTC, before 1",
        "2.  error rate  GET / of web fails in 33 % of 60",
        "",
        "An example:  ganglion explain 4bf92f3577b34da6a3ce929d0e0e4736",
        "Does it matter?  ganglion compare --by service.version --since '2026-11-20 14:30:00'",
    ]
    nothing = Changes(AT, answer.before, Period(AT, AT + timedelta(seconds=47)), 1, 0, [])
    assert shown(print_changes, nothing) == [
        "At 2026-11-20 15:00:00: 1 request in 30 min before, 0 in 47.0 s after",
        "",
        "Nothing is different beyond chance.",
        "",
        "A longer --window sees smaller changes.",
    ]


def test_a_comparison_has_each_measure_by_value() -> None:
    groups = [
        ValueGroup(
            "256",
            40,
            Estimate(13.1, 12.0, 15.4, 40),
            None,
            Estimate(0.025, 0.004, 0.12, 40),
            Estimate(0.00033, 0.00032, 0.00035, 40),
            {"faithfulness": Estimate(1.0, 1.0, 1.0, 40)},
            AT.isoformat(),
            AT.isoformat(),
            ID,
        ),
        ValueGroup(
            "512",
            2,
            Estimate(23.8, None, None, 2),
            None,
            Estimate(0.0, 0.0, 0.66, 2),
            None,
            {},
            AT.isoformat(),
            AT.isoformat(),
            None,
        ),
    ]
    answer = Comparison("chunk_size", DAY, "512 is slower than 256.", groups, 60, 1, truncated=True, elsewhere=1)
    assert shown(print_comparison, answer) == [
        "512 is slower than 256.",
        "",
        "Requests by chunk_size",
        "chunk_size  requests  first             last",
        "256               40  2026-11-20 15:00  2026-11-20 15:00",
        "512                2  2026-11-20 15:00  2026-11-20 15:00",
        "",
        "Latency, median",
        "                   95 % interval  of",
        "256  13.1 ms  12.0 ms to 15.4 ms  40  ███████████",
        "512  23.8 ms                       2  ████████████████████",
        "",
        "Errors",
        "            95 % interval  of",
        "256  2.5 %  0.4 % to 12 %  40  ████████████████████",
        "512    0 %    0 % to 66 %   2",
        "",
        "Cost of a request",
        "                      95 % interval  of",
        "256  $0.00033  $0.00032 to $0.00035  40  ████████████████████",
        "512         -",
        "",
        "faithfulness",
        "             95 % interval  of",
        "256  1.000  1.000 to 1.000  40  ████████████████████",
        "512      -",
        "",
        "(60 requests without it)",
        "(1 request of other operations, see --operation)",
        "(1 value more, see --limit)",
        "(not every request was read: ask for a shorter time)",
        "The slowest with 256:  ganglion explain 4bf92f3577b34da6a3ce929d0e0e4736",
    ]


def test_costs_have_one_number_of_digits() -> None:
    groups = [
        CostGroup("gpt-4o", 0.0213, is_computed=True, calls=40, requests=40, tokens=87_184, last_seen=AT),
        CostGroup(None, 1e-7, is_computed=False, calls=1, requests=1, tokens=12, last_seen=AT, unpriced=3),
    ]
    answer = Costs("model", DAY, 0.0213001, is_computed=True, tokens=87_196, groups=groups, others=1)
    assert shown(print_costs, answer) == [
        "≈ $0.0213  87,196 tokens  2026-11-19 15:00:00 to 2026-11-20 15:00:00",
        "",
        "model            cost   share  calls  requests  tokens",
        "gpt-4o      ≈ $0.0213   100 %     40        40  87,184  ██████████",
        "(not said)   <$0.0001  <0.1 %      1         1      12  █",
        "",
        "(1 model more, see --limit)",
        "(3 calls of models without a price; GANGLION_PRICES names yours)",
    ]


def test_quality_has_a_line_over_time_and_the_drop() -> None:
    times = [DAY.since + timedelta(hours=hour) for hour in range(24)]
    points = [ScorePoint(one, "faithfulness", 1.0 if one.hour >= 15 else 0.5, 4) for one in times if one.hour != 3]
    drop = Drop(AT - timedelta(hours=15), 1.0, 0.5, 29.3, ID)
    trends = [ScoreTrend("faithfulness", 92, 0.69, drop), ScoreTrend("answer_relevancy", 92, 0.761, None)]
    worst = [WorstAnswer(AT, ID, "ada", "faithfulness", 0.25), WorstAnswer(AT, None, None, "faithfulness", 0.5)]
    answer = Quality(DAY, 3600, "faithfulness fell from 1.00 to 0.50.", trends, points, worst)
    assert shown(print_quality, answer) == [
        "faithfulness fell from 1.00 to 0.50.",
        "2026-11-19 15:00:00 to 2026-11-20 15:00:00, scores from 0 to 1",
        "",
        "score              mean  answers  over time   drop",
        "faithfulness      0.690       92  ███▆▄▄▄▄▄▄  1.00 → 0.50  11-20 00:00",
        "answer_relevancy  0.761       92",
        "",
        "The worst answers",
        "when                 score               user  trace",
        "2026-11-20 15:00:00  faithfulness  0.25  ada   4bf92f3577b34da6a3ce929d0e0e4736",
        "2026-11-20 15:00:00  faithfulness  0.50",
        "",
        "What changed then:  ganglion changes --at '2026-11-20 00:00:00'",
        "The first poor one: ganglion explain 4bf92f3577b34da6a3ce929d0e0e4736",
    ]


def test_health_has_a_mark_for_each_state() -> None:
    parts = [
        Part("collector", "failing", "not running"),
        Part("database", "healthy", "answers"),
        Part("x", "unknown", ""),
        Part("exporter langsmith", "healthy", f"{OFF}: no key"),
    ]
    services = [
        ServiceHealth("web", "degraded", "p95 2 s, usually 1 s", 40, 0.025, 0.0, 2000.0, 1000.0, AT),
        ServiceHealth("new", "healthy", "new", 1, 0.0, None, None, None, AT),
    ]
    assert shown(print_health, Health("failing", "failing: collector: not running", AT, parts, services)) == [
        "✗ failing  collector: not running",
        "",
        "part                state",
        "collector           ✗ failing       not running",
        "database            ✓ healthy       answers",
        "x                   ? unknown",
        "exporter langsmith  - switched off  no key",
        "",
        "Services, the last 15 minutes against the day before",
        "service  state       requests  errors  usually     p95  usually",
        "web      ! degraded        40   2.5 %      0 %  2.00 s   1.00 s",
        "new      ✓ healthy          1     0 %",
        "web: p95 2 s, usually 1 s",
        "",
        "Why?  ganglion errors --why --since 15m   ganglion slow --since 15m",
        "The collector:  ganglion status   (docs/operations.md)",
    ]


EVIL = "\x1b[2J\x07[bold]x[/bold] \u202e\r\n"


@pytest.mark.parametrize(
    ("show", "answer", "options"),
    [
        (
            print_requests,
            TracePage(
                [TraceSummary(ID, AT, 1, 1, EVIL, EVIL, EVIL, "ERROR", 1, 1, 1, {}, EVIL, EVIL, None, 1, EVIL)], None
            ),
            {"slowest": True},
        ),
        (print_changes, Changes(AT, DAY, DAY, 1, 1, [Change("log", EVIL, EVIL, "count", 1, 1, 1, 1, AT, ID)]), {}),
        (
            print_costs,
            Costs(
                "user",
                DAY,
                1,
                is_computed=False,
                tokens=1,
                groups=[CostGroup(EVIL, 1, is_computed=False, calls=1, requests=1, tokens=1, last_seen=AT)],
                others=0,
            ),
            {},
        ),
        (
            print_health,
            Health(
                "degraded",
                EVIL,
                AT,
                [Part(EVIL, "degraded", EVIL)],
                [ServiceHealth(EVIL, "degraded", EVIL, 1, 1, 1, 1, 1, AT)],
            ),
            {},
        ),
        (
            print_error_groups,
            ErrorGroups(
                DAY,
                EVIL,
                1,
                1,
                [ErrorGroup(EVIL, EVIL, EVIL, 1, 1, "new", AT, AT, 1, 1, {EVIL: 1}, [Share(EVIL, EVIL, 1, 1)], [ID])],
                truncated=True,
            ),
            {},
        ),
        (
            print_quality,
            Quality(DAY, 60, EVIL, [ScoreTrend(EVIL, 1, 1, None)], [], [WorstAnswer(AT, ID, EVIL, EVIL, 1)]),
            {},
        ),
        (
            print_comparison,
            Comparison(
                EVIL,
                DAY,
                EVIL,
                [
                    ValueGroup(
                        EVIL,
                        1,
                        None,
                        None,
                        Estimate(0, 0, 1, 1),
                        None,
                        {EVIL: Estimate(1, 1, 1, 1)},
                        AT.isoformat(),
                        AT.isoformat(),
                        ID,
                    )
                ],
                0,
                0,
                truncated=False,
            ),
            {},
        ),
        (
            print_explanation,
            Explanation(
                ID,
                "slow",
                EVIL,
                1,
                [Finding("slow", 1, EVIL, EVIL, EVIL, AT)],
                None,
                [SpanComparison(EVIL, EVIL, EVIL, 1, 1, 1, None, None, 1, unusual=True)],
                [CriticalStep(EVIL, EVIL, EVIL, 0, 1)],
                [MissingSpan("usual", EVIL, EVIL, EVIL, 1)],
                [],
                AT,
                truncated=True,
            ),
            {"full": True},
        ),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_a_sender_wrote_cannot_change_the_terminal(
    show: Callable[..., None], answer: Any, options: dict[str, Any]
) -> None:
    drawn = "\n".join(shown(show, answer, width=1000, **options))
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(drawn)
    assert "[bold]x[/bold]" in drawn
