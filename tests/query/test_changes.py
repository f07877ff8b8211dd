from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from ganglion_query.answers.changes import Change, Changes, changes
from ganglion_query.reader import Reader

from tests.query.rag_traffic import Asked, asked, keep, minutes_ago, trace_id
from tests.query.telemetry import Sent, log

AT = minutes_ago(30)
WINDOW = timedelta(minutes=25)


def _around(dsn: str) -> Changes:
    return changes(Reader(dsn), AT, WINDOW)


def _of(kind: str, found: Changes) -> list[Change]:
    return [change for change in found.changes if change.kind == kind]


def test_a_new_version_with_its_errors_is_what_changed(postgresql: str) -> None:
    deployed = AT + timedelta(seconds=12)
    before = asked(60, minutes_ago(55), AT)
    after = asked(
        60,
        deployed,
        minutes_ago(5),
        seed=2,
        version="1.1.0",
        error=lambda random: (
            f"StoreUnavailableError: refused after {random.random()} s" if random.random() < 0.6 else ""
        ),
    )
    keep(postgresql, *before, *after)
    found = _around(postgresql)
    (version,) = _of("version", found)
    assert version.summary == f"rag-service runs version 1.1.0 since {deployed:%Y-%m-%d %H:%M:%S} UTC, before 1.0.0"
    assert (version.first_seen, version.before, version.trace_id) == (deployed, 0, trace_id(after[0].number))
    (error,) = _of("error", found)
    failed = [one for one in after if one.error]
    assert error.subject == "StoreUnavailableError at data.query of rag-service"
    assert (error.before, error.after, error.trace_id) == (0, len(failed), trace_id(failed[0].number))
    (rate,) = _of("error_rate", found)
    assert (rate.subject, rate.before, rate.after) == ("POST /ask of rag-service", 0, len(failed) / 60)
    assert found.verdict == version.summary
    assert (found.requests_before, found.requests_after) == (60, 60)


def test_what_stays_the_same_is_not_told(postgresql: str) -> None:
    keep(postgresql, *asked(200, minutes_ago(55), minutes_ago(5), error=lambda r: "E: x" if r.random() < 0.2 else ""))
    found = _around(postgresql)
    assert found.changes == []
    assert found.verdict.startswith("nothing surely changed at ")


def test_slower_operations_are_told_with_their_medians(postgresql: str) -> None:
    def usual(random: Random) -> float:
        return random.lognormvariate(6, 0.3)

    before = asked(60, minutes_ago(55), AT, ms=usual)
    after = asked(60, AT, minutes_ago(5), seed=2, ms=lambda random: 2 * usual(random))
    keep(postgresql, *before, *after)
    slower = {change.subject: change for change in _of("latency", _around(postgresql))}
    assert set(slower) == {
        f"{name} of rag-service" for name in ("POST /ask", "retrieval.search", "data.query", "generation.generate")
    }
    whole = slower["POST /ask of rag-service"]
    assert 1.6 < whole.after / whole.before < 2.4
    assert whole.summary.startswith("POST /ask of rag-service is slower: ")
    assert whole.trace_id == trace_id(max(after, key=lambda one: one.ms).number)


def test_a_little_slower_is_no_news(postgresql: str) -> None:
    keep(
        postgresql,
        *asked(60, minutes_ago(55), AT, ms=lambda random: random.gauss(400, 2)),
        *asked(60, AT, minutes_ago(5), seed=2, ms=lambda random: random.gauss(440, 2)),
    )
    assert _around(postgresql).changes == []


def test_another_model_stands_in_the_place_of_the_old_one(postgresql: str) -> None:
    after = asked(20, AT, minutes_ago(5), seed=2, model="extractive-2")
    keep(postgresql, *asked(20, minutes_ago(55), AT), *after)
    (model,) = _of("model", _around(postgresql))
    since = f"{AT:%Y-%m-%d %H:%M:%S} UTC"
    assert model.summary == f"rag-service calls the model extractive-2 instead of extractive-1 since {since}"


def test_a_service_that_began_and_one_that_fell_silent(postgresql: str) -> None:
    gone = asked(30, minutes_ago(55), AT, seed=2, service="reranker")
    came = asked(3, AT, minutes_ago(5), seed=3, service="judge")
    keep(postgresql, *asked(60, minutes_ago(55), minutes_ago(5)), *gone, *came)
    found = _around(postgresql)
    services = {change.subject: change for change in _of("service", found)}
    last = gone[-1].at + timedelta(milliseconds=gone[-1].ms)
    assert services["judge"].summary == f"judge began at {AT:%Y-%m-%d %H:%M:%S} UTC"
    assert services["reranker"].summary == f"reranker is silent since {last:%Y-%m-%d %H:%M:%S} UTC"
    assert [change.kind for change in found.changes] == ["service", "service"]


def test_a_service_that_is_seldom_there_did_not_begin(postgresql: str) -> None:
    seldom = [Asked(900, minutes_ago(600), service="nightly"), Asked(901, minutes_ago(20), service="nightly")]
    keep(postgresql, *asked(60, minutes_ago(55), minutes_ago(5)), *seldom)
    assert _around(postgresql).changes == []


def test_three_times_the_requests_are_told_once(postgresql: str) -> None:
    keep(postgresql, *asked(40, minutes_ago(55), AT), *asked(120, AT, minutes_ago(5), seed=2))
    (volume,) = _around(postgresql).changes
    assert (volume.kind, volume.subject, volume.before, volume.after) == ("volume", "rag-service", 40, 120)


def test_more_errors_of_more_requests_are_no_error_of_their_own(postgresql: str) -> None:
    def error(random: Random) -> str:
        return "TimeoutError: no answer" if random.random() < 0.3 else ""

    keep(postgresql, *asked(40, minutes_ago(55), AT, error=error), *asked(160, AT, minutes_ago(5), seed=2, error=error))
    assert [change.kind for change in _around(postgresql).changes] == ["volume"]


def test_new_messages_are_one_whatever_their_ids(postgresql: str) -> None:
    told = [log(f"cache of user-{number} was dropped", at=AT + timedelta(seconds=number)) for number in range(20)]
    keep(
        postgresql, *asked(60, minutes_ago(55), minutes_ago(5)), more=[Sent("rag-service", logs=told, version="1.0.0")]
    )
    (message,) = _around(postgresql).changes
    assert (message.kind, message.after, message.first_seen) == ("log", 20, AT)
    assert message.summary.startswith("rag-service logs “cache of <id> was dropped” since ")


def test_both_windows_end_by_now_and_are_equally_long(postgresql: str) -> None:
    keep(postgresql, Asked(1, minutes_ago(2)))
    found = changes(Reader(postgresql), minutes_ago(10), timedelta(hours=6))
    assert found.before.length == found.after.length
    assert found.after.until <= datetime.now(UTC) < found.after.until + timedelta(minutes=1)
    assert found.after.since == found.at == minutes_ago(10)


@pytest.mark.parametrize(("at", "window"), [(-3000, 1), (10, 0), (10, 11_000)], ids=["future", "no window", "too long"])
def test_what_cannot_be_asked_is_refused(at: float, window: float) -> None:
    with pytest.raises(ValueError, match=r"future|window"):
        changes(Reader("dbname=nowhere"), minutes_ago(at), timedelta(minutes=window))


def test_the_list_is_limited_and_says_what_is_left(postgresql: str) -> None:
    after = asked(20, AT, minutes_ago(5), seed=2, model="extractive-2", version="1.1.0")
    keep(postgresql, *asked(20, minutes_ago(55), AT), *after)
    found = changes(Reader(postgresql), AT, WINDOW, limit=1)
    assert ([change.kind for change in found.changes], found.others) == (["version"], 1)
