"""`ganglion trace` by exact output: as a tree, as a waterfall, as its critical path, as JSON."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from ganglion_query.answers.trace import TraceAnswer

from tests.fix_cli import Ganglion
from tests.query.telemetry import ERROR, TRACE_ID, Sent, log, span, store

BEGIN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def _at(milliseconds: float) -> datetime:
    return BEGIN + timedelta(milliseconds=milliseconds)


@pytest.fixture
async def request_of_two_services(postgresql: str) -> None:
    """The web service asks the store while it writes to its cache, then fails to answer."""
    web = [
        span("POST /ask", 1, at=BEGIN, ms=1000, error="503", user_id="ada", tenant_id="acme", http_route="/ask"),
        span("cache", 2, 1, at=_at(100), ms=200, user_id="ada", cache_key="k"),
        span("answer", 4, 1, at=_at(800), ms=150, error="no room", user_id="eve"),
    ]
    web[2].events.add(name="retry", time_unix_nano=web[2].start_time_unix_nano + 1000)
    told = [
        log("asked", 1, at=BEGIN, user_id="ada"),
        log(
            "no room",
            4,
            at=_at(900),
            severity=ERROR,
            user_id="ada",
            exception_type="BudgetError",
            numbers={"cost_usd": 0.25},
        ),
    ]
    stored = [span("query", 3, 1, at=_at(100), ms=700)]
    await store(postgresql, Sent("web", web, told), Sent("store", stored), received_at=_at(2000))


@pytest.mark.usefixtures("request_of_two_services")
def test_the_tree_has_times_of_its_own_what_was_waited_for_and_logs_in_place(ganglion: Ganglion) -> None:
    result = ganglion("trace", TRACE_ID)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "trace 4bf92f3577b34da6a3ce929d0e0e4736  4 spans  2 logs  1.00 s  $0.25  2 failed spans",
        "2026-11-20 15:00:00.000 UTC  store, web  user=ada  tenant=acme",
        "",
        "                                                   time      self  waited",
        "POST /ask                               web      1.00 s    150 ms  ◆ 15 % ██████████████████████████",
        "│  http.route=/ask",
        "│  503",
        "│  15:00:00.000 INFO     web.app  asked",
        "├─ cache                                web      200 ms    200 ms           █████",
        "├─ query                                store    700 ms    700 ms  ◆ 70 %   ██████████████████",
        "└─ answer                               web      150 ms    150 ms  ◆ 15 %                     ████",
        "      $0.25  user.id=eve",
        "      no room",
        "      event  retry",
        "      15:00:00.900 ERROR    web.app  no room  cost_usd=0.25",
        "                   BudgetError",
        "",
        "Why?  ganglion explain 4bf92f3577b34da6a3ce929d0e0e4736",
    ]


@pytest.mark.usefixtures("request_of_two_services")
def test_the_waterfall_has_one_line_for_each_span(ganglion: Ganglion) -> None:
    assert ganglion("trace", TRACE_ID, "--waterfall").stdout.splitlines() == [
        "trace 4bf92f3577b34da6a3ce929d0e0e4736  4 spans  2 logs  1.00 s  $0.25  2 failed spans",
        "2026-11-20 15:00:00.000 UTC  store, web  user=ada  tenant=acme",
        "",
        "                                                   0                       500 ms             1.00 s",
        "POST /ask                                   1.00 s █████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░███",
        "  cache                                     200 ms     ░░░░░░░░░░░",
        "  query                                     700 ms     ███████████████████████████████████",
        "  answer                                    150 ms                                        ████████",
        "",
        "█ what the request waited for  ░ what ran beside it; logs: ganglion trace 4bf92f3577b34da6a3ce929d0e0e4736",
    ]


@pytest.mark.usefixtures("request_of_two_services")
def test_the_critical_path_is_in_the_order_of_waiting(ganglion: Ganglion) -> None:
    assert ganglion("trace", TRACE_ID, "--critical-path").stdout.splitlines() == [
        "trace 4bf92f3577b34da6a3ce929d0e0e4736  4 spans  2 logs  1.00 s  $0.25  2 failed spans",
        "2026-11-20 15:00:00.000 UTC  store, web  user=ada  tenant=acme",
        "",
        "waited for  service    from     time  share",
        "POST /ask   web        0 µs   100 ms   10 %",
        "query       store    100 ms   700 ms   70 %",
        "answer      web      800 ms   150 ms   15 %",
        "POST /ask   web      950 ms  50.0 ms  5.0 %",
        "",
        "The whole request: ganglion trace 4bf92f3577b34da6a3ce929d0e0e4736",
    ]


@pytest.mark.usefixtures("request_of_two_services")
def test_everything_is_shown_where_it_is_asked_for(ganglion: Ganglion) -> None:
    shown = ganglion("trace", TRACE_ID, "--full").stdout
    assert "cache.key=k" in shown
    assert shown.count("user.id=ada") == 2


@pytest.mark.usefixtures("request_of_two_services")
def test_json_is_the_answer_itself(ganglion: Ganglion) -> None:
    found = json.loads(ganglion("trace", TRACE_ID, "--json").stdout)
    assert list(found) == list(TraceAnswer.__dataclass_fields__)
    assert [(one["name"], one["depth"], one["self_time_ms"], one["critical_ms"]) for one in found["spans"]] == [
        ("POST /ask", 0, 150.0, 150.0),
        ("cache", 1, 200.0, 0.0),
        ("query", 1, 700.0, 700.0),
        ("answer", 1, 150.0, 150.0),
    ]


@pytest.mark.usefixtures("request_of_two_services")
def test_json_of_everything_has_the_attributes(ganglion: Ganglion) -> None:
    found = json.loads(ganglion("trace", TRACE_ID, "--json", "--full").stdout)
    assert [one["attributes"].get("cache.key") for one in found["spans"]] == [None, "k", None, None]


def test_two_ways_of_showing_at_once_are_wrong_usage(ganglion: Ganglion) -> None:
    result = ganglion("trace", TRACE_ID, "--waterfall", "--critical-path")
    assert result.exit_code == 2
    assert "Invalid value for '--waterfall': it is the tree, --waterfall or --critical-path" in result.stderr
