from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from ganglion_query.answers.error_groups import ErrorGroups, error_groups
from ganglion_query.answers.period import Period
from ganglion_query.answers.population import Whose
from ganglion_query.failures import Failure, causes
from ganglion_query.reader import Reader
from ganglion_query.reader.error_groups import ErrorLogRow, FailedSpanRow, SpanPlace

from tests.query.rag_traffic import NOW, Asked, asked, keep, minutes_ago, trace_id
from tests.query.telemetry import ERROR, Sent, log, span

LAST_HALF_HOUR = Period(minutes_ago(30), minutes_ago(0))
REFUSED = "StoreUnavailableError: connect 10.0.0.{}:5432 refused"


def _groups(dsn: str, **whose: str) -> ErrorGroups:
    return error_groups(Reader(dsn), LAST_HALF_HOUR, Whose(**whose))


def test_the_verdict_names_the_cause_its_place_and_the_version_that_brought_it(postgresql: str) -> None:
    failing = asked(
        60,
        minutes_ago(20),
        minutes_ago(1),
        seed=2,
        version="1.1.0",
        error=lambda random: REFUSED.format(random.randint(1, 99)),
    )
    keep(postgresql, *asked(100, minutes_ago(58), minutes_ago(20)), *failing)
    found = _groups(postgresql)
    first = minutes_ago(20)
    (group,) = found.groups
    assert (group.count, group.before, group.trend, group.requests, group.users) == (60, 0, "new", 60, 1)
    assert group.error == "StoreUnavailableError: connect <address> refused"
    assert group.origin == "data.query of rag-service"
    assert group.trace_ids[0] == trace_id(failing[-1].number)
    assert (found.failed_requests, found.errors, found.truncated) == (60, 60, False)
    assert found.verdict == (
        f"60 of {found.requests} requests have errors: "
        "StoreUnavailableError: connect <address> refused at data.query of rag-service (60), "
        f"new since {group.first_seen:%Y-%m-%d %H:%M:%S} UTC with version 1.1.0 of rag-service"
    )
    assert first <= group.first_seen < minutes_ago(19.9)


def test_what_failing_requests_have_in_common_is_told(postgresql: str) -> None:
    others = asked(80, minutes_ago(29), minutes_ago(1), tenant=lambda random: random.choice(["acme", "beta"]))
    failing = asked(30, minutes_ago(29), minutes_ago(1), seed=2, tenant="gamma", error="LimitError: used up")
    keep(postgresql, *others, *failing, *asked(9, minutes_ago(59), minutes_ago(31), seed=3, tenant="gamma"))
    (group,) = _groups(postgresql).groups
    assert [(share.attribute, share.value, share.among_errors) for share in group.common] == [("tenant", "gamma", 1.0)]
    assert group.common[0].among_all == pytest.approx(30 / 110)
    assert "100 % of them have tenant gamma (27 % of all requests)" in _groups(postgresql).verdict


def test_a_version_that_has_no_more_errors_than_the_other_brought_none(postgresql: str) -> None:
    def error(random: Random) -> str:
        return "E: x" if random.random() < 0.5 else ""

    keep(
        postgresql,
        *asked(40, minutes_ago(58), minutes_ago(25)),
        *asked(40, minutes_ago(20), minutes_ago(1), seed=2, error=error),
        *asked(40, minutes_ago(20), minutes_ago(1), seed=3, error=error, version="1.1.0"),
    )
    found = _groups(postgresql)
    assert found.groups[0].new_versions == []
    assert found.verdict.endswith(f", new since {found.groups[0].first_seen:%Y-%m-%d %H:%M:%S} UTC")


def test_errors_as_frequent_as_before_are_no_news(postgresql: str) -> None:
    keep(postgresql, *asked(200, minutes_ago(60), NOW, error=lambda random: "E: x" if random.random() < 0.2 else ""))
    found = _groups(postgresql)
    (group,) = found.groups
    assert group.trend == "steady"
    assert group.before > 0
    assert found.verdict.endswith(", as before")


def test_errors_that_rise_or_fall(postgresql: str) -> None:
    def seldom(count: int, since: float, until: float, error: str, seed: int) -> Sequence[Asked]:
        return asked(count, minutes_ago(since), minutes_ago(until), seed=seed, error=error)

    keep(
        postgresql,
        *asked(100, minutes_ago(60), NOW),
        *seldom(4, 59, 31, "UpError: x", 2),
        *seldom(40, 29, 1, "UpError: x", 3),
        *seldom(40, 59, 31, "DownError: x", 4),
        *seldom(2, 29, 1, "DownError: x", 5),
    )
    found = _groups(postgresql)
    assert [(group.error, group.trend) for group in found.groups] == [
        ("UpError: x", "rising"),
        ("DownError: x", "falling"),
    ]
    rising, falling = found.groups
    assert found.verdict == (
        f"42 of {found.requests} requests have errors of 2 causes, above all UpError: x at data.query of rag-service "
        f"(40), rising from 4 since {rising.rising_since:%Y-%m-%d %H:%M:%S} UTC"
    )
    assert falling.rising_since is None
    assert rising.rising_since is not None
    assert minutes_ago(30) < rising.rising_since < minutes_ago(27)


def test_a_burst_rises_since_its_first_error(postgresql: str) -> None:
    burst = asked(20, minutes_ago(1.01), minutes_ago(1), seed=2, error="UpError: x")
    keep(
        postgresql,
        *asked(100, minutes_ago(60), NOW),
        *asked(1, minutes_ago(40), NOW, seed=3, error="UpError: x"),
        *burst,
    )
    (group,) = _groups(postgresql).groups
    assert (group.trend, group.before, group.count) == ("rising", 1, 20)
    assert group.rising_since is not None
    assert minutes_ago(1.01) <= group.rising_since < minutes_ago(1)


def test_errors_of_one_service_user_or_tenant(postgresql: str) -> None:
    keep(
        postgresql,
        Asked(1, minutes_ago(9), user="ada", tenant="globex", error="E: one"),
        Asked(2, minutes_ago(8), user="bob", error="E: two"),
        Asked(3, minutes_ago(7), user="bob", service="other", error="E: three"),
    )
    assert {group.error for group in _groups(postgresql).groups} == {"E: one", "E: two", "E: three"}
    assert {group.error for group in _groups(postgresql, user="bob").groups} == {"E: two", "E: three"}
    found = _groups(postgresql, tenant="globex")
    assert ([group.error for group in found.groups], found.requests) == (["E: one"], 1)
    found = _groups(postgresql, service="other")
    assert [group.error for group in found.groups] == ["E: three"]
    assert (found.requests, found.failed_requests) == (1, 1)


def test_no_errors_are_an_answer(postgresql: str) -> None:
    keep(postgresql, *asked(3, minutes_ago(20), minutes_ago(10)))
    assert _groups(postgresql).verdict == "no errors in 3 requests"


def test_more_groups_than_wanted_are_counted(postgresql: str) -> None:
    logs = [log(f"failed {word}", at=minutes_ago(3), severity=ERROR) for word in ("a", "b", "c")]
    keep(postgresql, more=[Sent("shop", [span("x", 9, at=minutes_ago(4))], logs)])
    found = error_groups(Reader(postgresql), LAST_HALF_HOUR, limit=1)
    assert ([group.error for group in found.groups], found.others) == (["failed a"], 2)
    assert found.verdict.startswith("3 errors of 3 causes, above all failed a")


def _span(number: int, parent: int, start: float, end: float, *, exception: str | None = None) -> FailedSpanRow:
    return FailedSpanRow(
        start_time=minutes_ago(10 - start),
        end_time=minutes_ago(10 - end),
        trace_id="t",
        span_id=str(number),
        parent_span_id=str(parent) if parent else None,
        name=f"operation {number}",
        service_name="shop",
        user_id=None,
        status_message="failed",
        error_type=None,
        exception=exception,
    )


def _log(span_id: int | None, at: float, error: str | None = "E: x", message: str = "went wrong") -> ErrorLogRow:
    known = str(span_id) if span_id else None
    return ErrorLogRow(minutes_ago(10 - at), "t", known, None, "shop", "shop.app", message, error, None)


def _places(*pairs: tuple[int, int]) -> list[list[SpanPlace]]:
    return [
        [
            SpanPlace("t", str(one), str(parent) if parent else None, f"operation {one}", "shop", "ada")
            for one, parent in pairs
        ]
    ]


def _told(found: Sequence[Failure]) -> list[tuple[str | None, str]]:
    return sorted((failure.operation, failure.error) for failure in found)


CASES = {
    "an exception counts where it began": (
        [_log(3, 1), _log(2, 2), _log(1, 3, "HTTPError: 500")],
        [_span(1, 0, 0, 3), _span(2, 1, 0, 2), _span(3, 2, 0, 1, exception="E: x")],
        _places((1, 0), (2, 1), (3, 2)),
        [("operation 3", "E: x")],
    ),
    "two errors of siblings are two": (
        [_log(2, 1, "A: x"), _log(3, 2, "B: x")],
        [],
        _places((1, 0), (2, 1), (3, 1)),
        [("operation 2", "A: x"), ("operation 3", "B: x")],
    ),
    "a span that did not fail may stand between": (
        [_log(4, 1)],
        [_span(1, 0, 0, 2)],
        _places((1, 0), (2, 1), (3, 2), (4, 3)),
        [("operation 4", "E: x")],
    ),
    "a failed span without a log is its own": ([], [_span(1, 0, 0, 1)], _places((1, 0)), [("operation 1", "failed")]),
    "an error told twice in a span is one": ([_log(1, 1), _log(1, 2)], [], _places((1, 0)), [("operation 1", "E: x")]),
    "spans that are not here are judged by what failed": (
        [],
        [_span(2, 1, 0, 1, exception="E: x"), _span(1, 0, 0, 2)],
        [],
        [("operation 2", "E: x")],
    ),
    "an error in the time of a failed span explains it": (
        [_log(7, 1)],
        [_span(1, 0, 0, 2)],
        _places((1, 0)),
        [("shop.app", "E: x")],
    ),
    "a circle has no beginning": ([], [_span(1, 2, 0, 1), _span(2, 1, 0, 1)], _places((1, 2), (2, 1)), []),
    "a server's log of an error that a trace has is not another": (
        [replace(_log(None, 1.01, message="Exception in app"), trace_id=None, logger="server"), _log(1, 1)],
        [],
        _places((1, 0)),
        [("operation 1", "E: x")],
    ),
    "a log of no trace at another time is one": (
        [replace(_log(None, 3), trace_id=None, logger="server"), _log(1, 1)],
        [],
        _places((1, 0)),
        [("operation 1", "E: x"), ("server", "E: x")],
    ),
    "a status is told": (
        [],
        [replace(_span(1, 0, 0, 1), status_message=None, error_type="401")],
        _places((1, 0)),
        [("operation 1", "HTTP 401")],
    ),
    "a log without a span is its logger's": ([_log(None, 1, None, "no 17")], [], [], [("shop.app", "no <n>")]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_causes(
    case: tuple[list[ErrorLogRow], list[FailedSpanRow], list[list[SpanPlace]], list[tuple[str, str]]],
) -> None:
    logs, spans, places, expected = case
    assert _told(list(causes(logs, spans, places))) == expected
