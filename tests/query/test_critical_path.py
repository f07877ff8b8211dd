"""Where the time of a trace went, by examples and by properties that hold for anything a sender can send."""

import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from ganglion_query.critical_path import critical_path, gaps, self_time
from ganglion_query.model import SpanRow, Trace
from ganglion_query.time_axis import Axis, lay_out
from ganglion_query.tree import Root, grow, walk
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.query.rows import ID, START, axis_of, span_row

_MS = 1_000_000
ELSEWHERE = {"service_name": "bank"}


def _path(*spans: SpanRow) -> list[tuple[str, float, float]]:
    return [(one.bar.span.span_id, one.start / _MS, one.end / _MS) for one in critical_path(axis_of(*spans))]


def _self_times(*spans: SpanRow) -> dict[str, float]:
    return {bar.span.span_id: self_time(bar) / _MS for bar in axis_of(*spans).bars}


def test_path_goes_through_the_last_to_finish_and_what_came_before_it() -> None:
    spans = [
        span_row("root", ms=100),
        span_row("auth", "root", at=5, ms=15),
        span_row("search", "root", at=20, ms=30),
        span_row("index", "search", at=25, ms=20),
        span_row("cache", "root", at=20, ms=10),
        span_row("generate", "root", at=55, ms=40),
    ]
    assert _path(*spans) == [
        ("root", 0, 5),
        ("auth", 5, 20),
        ("search", 20, 25),
        ("index", 25, 45),
        ("search", 45, 50),
        ("root", 50, 55),
        ("generate", 55, 95),
        ("root", 95, 100),
    ]
    assert _self_times(*spans) == {"root": 15, "auth": 15, "search": 10, "index": 20, "cache": 10, "generate": 40}


def test_a_child_that_overlaps_a_later_one_counts_up_to_its_start() -> None:
    spans = [span_row("root", ms=100), span_row("a", "root", at=0, ms=60), span_row("b", "root", at=50, ms=50)]
    assert _path(*spans) == [("a", 0, 50), ("b", 50, 100)]
    assert _self_times(*spans) == {"root": 0, "a": 60, "b": 50}


def test_what_runs_on_after_its_parent_was_not_waited_for() -> None:
    spans = [span_row("root", ms=100), span_row("work", "root", at=10, ms=50), span_row("mail", "root", at=20, ms=900)]
    assert _path(*spans) == [("root", 0, 10), ("work", 10, 60), ("root", 60, 100)]
    assert axis_of(*spans).length == 920 * _MS


def test_a_child_closed_a_moment_after_its_parent_was_waited_for() -> None:
    spans = [span_row("root", ms=100), span_row("stream", "root", at=10, ms=90.5)]
    assert _path(*spans) == [("root", 0, 10), ("stream", 10, 100)]


def test_a_server_that_answers_after_its_client_gave_up_is_why_it_did() -> None:
    spans = [span_row("client", ms=100), span_row("server", "client", at=5, ms=900, kind="SERVER", **ELSEWHERE)]
    assert _path(*spans) == [("client", 0, 5), ("server", 5, 100)]


def test_a_consumer_is_not_waited_for() -> None:
    spans = [span_row("publish", ms=10), span_row("consume", "publish", at=8, ms=50, kind="CONSUMER", **ELSEWHERE)]
    assert _path(*spans) == [("publish", 0, 10)]


def test_a_clock_that_is_behind_is_put_right() -> None:
    spans = [
        span_row("client", ms=100),
        span_row("server", "client", at=-5000, ms=80, **ELSEWHERE),
        span_row("query", "server", at=-4990, ms=20, **ELSEWHERE),
        span_row("back", "query", at=35, ms=5),
    ]
    axis = axis_of(*spans)
    assert {bar.span.span_id: (bar.start / _MS, bar.skew / _MS) for bar in axis.bars} == {
        "client": (0, 0),
        "server": (10, 5010),
        "query": (20, 5010),
        "back": (35, 0),
    }
    assert (axis.origin, axis.length) == (START, 100 * _MS)
    assert _path(*spans)[1] == ("server", 10, 20)


def test_a_child_longer_than_its_parent_begins_with_it() -> None:
    axis = axis_of(span_row("client", ms=10), span_row("server", "client", at=-50, ms=30, **ELSEWHERE))
    assert [(bar.start / _MS, bar.end / _MS) for bar in axis.bars] == [(0, 10), (0, 30)]


def test_the_same_clock_is_believed() -> None:
    axis = axis_of(span_row("late", at=10), span_row("early", "late", at=0))
    assert [(bar.span.span_id, bar.start / _MS) for bar in axis.bars] == [("late", 10), ("early", 0)]


def test_a_span_without_end_lasts_as_long_as_what_is_below_it() -> None:
    spans = [span_row("root", ms=None), span_row("a", "root", at=10, ms=30), span_row("b", "root", at=60, ms=None)]
    assert _path(*spans) == [("root", 0, 10), ("a", 10, 40), ("root", 40, 60)]
    assert _self_times(*spans) == {"root": 30, "a": 30, "b": 0}


def test_spans_of_no_length_are_on_no_path() -> None:
    spans = [span_row("root", ms=10), span_row("mark", "root", at=5, ms=0), span_row("end", "root", at=10, ms=0)]
    assert _path(*spans) == [("root", 0, 10)]
    assert _path(span_row("root", ms=0)) == []


def test_several_roots_follow_each_other_with_nothing_between() -> None:
    spans = [span_row("first", ms=10), span_row("second", at=50, ms=10), span_row("beside", at=52, ms=3)]
    assert _path(*spans) == [("first", 0, 10), ("second", 50, 60)]
    assert [(start / _MS, end / _MS) for start, end in gaps(axis_of(*spans))] == [(10, 50)]


def test_an_orphan_in_the_time_of_the_only_root_is_part_of_it() -> None:
    spans = [span_row("root", ms=100), span_row("lost", "gone", at=20, ms=50), span_row("later", "gone", at=200)]
    assert _path(*spans) == [("root", 0, 20), ("lost", 20, 70), ("root", 70, 100), ("later", 200, 210)]
    assert _self_times(*spans)["root"] == 50


def test_durations_are_exact_to_the_nanosecond() -> None:
    (bar,) = axis_of(span_row("root", ms=0.000123)).bars
    assert bar.length == 123


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -5.0, 1e30])
def test_durations_that_cannot_be_are_taken_from_start_and_end(wrong: float) -> None:
    (bar,) = axis_of(span_row("root", end_time=START, duration_ms=wrong)).bars
    assert bar.length == 0


def _parent(one: int, shape: str) -> int:
    return {"chain": one - 1, "fan": 0, "binary": (one - 1) // 2}[shape]


def _tree(number: int, shape: str) -> list[SpanRow]:
    below = [
        span_row(str(one), str(_parent(one, shape)), at=one / 2, ms=(number - one) / 2) for one in range(1, number)
    ]
    return [span_row("0", ms=number), *below]


@pytest.mark.parametrize("shape", ["chain", "fan", "binary"])
def test_ten_thousand_spans_are_quick(shape: str) -> None:
    trace = Trace(ID, _tree(10_000, shape), [], truncated=False)
    started = time.thread_time()
    axis = lay_out(grow(trace))
    assert critical_path(axis)
    assert sum(map(self_time, axis.bars)) >= 0
    assert time.thread_time() - started < 4
    assert [placed.depth for placed in walk(grow(trace))][-1] == {"chain": 9_999, "fan": 1, "binary": 12}[shape]


_SPANS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 12)),
        st.integers(0, 60),
        st.one_of(st.none(), st.integers(0, 60)),
        st.sampled_from(["shop", "bank"]),
        st.sampled_from(["INTERNAL", "SERVER", "CONSUMER"]),
    ),
    min_size=1,
    max_size=12,
)


def _spans(drawn: Sequence[tuple[int | None, int, int | None, str, str]]) -> list[SpanRow]:
    return [
        span_row(str(one), None if parent is None else str(parent), at=at, ms=ms, service_name=service, kind=kind)
        for one, (parent, at, ms, service, kind) in enumerate(drawn)
    ]


def _axis(drawn: Sequence[tuple[int | None, int, int | None, str, str]]) -> Axis:
    return axis_of(*_spans(drawn))


@given(_SPANS)
@settings(max_examples=300)
def test_the_path_is_in_order_within_its_spans_and_no_longer_than_the_trace(
    drawn: list[tuple[int | None, int, int | None, str, str]],
) -> None:
    axis = _axis(drawn)
    path = critical_path(axis)
    assert all(before.end <= after.start for before, after in pairwise(path))
    assert all(one.bar.start <= one.start < one.end <= one.bar.end for one in path)
    assert sum(one.length for one in path) <= axis.length
    if len(axis.tops) == 1:
        assert sum(one.length for one in path) == axis.tops[0].length


@given(_SPANS)
def test_every_span_is_placed_once_and_has_no_more_time_than_it_took(
    drawn: list[tuple[int | None, int, int | None, str, str]],
) -> None:
    axis = _axis(drawn)
    assert sorted(bar.span.span_id for bar in axis.bars) == sorted(map(str, range(len(drawn))))
    assert min(bar.start for bar in axis.bars) == 0
    assert max(bar.end for bar in axis.bars) == axis.length
    for bar in axis.bars:
        assert 0 <= self_time(bar) <= bar.length
        children = sum(child.length for child in bar.children)
        assert self_time(bar) + children >= bar.length
    assert all(bar.depth == 0 for bar in axis.tops)


@given(_SPANS)
def test_what_waits_for_all_its_children_is_on_the_path_only_in_its_own_time(
    drawn: list[tuple[int | None, int, int | None, str, str]],
) -> None:
    axis = _axis(drawn)
    on_path: dict[int, int] = {}
    for one in critical_path(axis):
        on_path[id(one.bar)] = on_path.get(id(one.bar), 0) + one.length
    for bar in axis.bars:
        if not any(child.detached for child in bar.children):
            assert on_path.get(id(bar), 0) <= self_time(bar)


@given(_SPANS)
def test_children_come_right_after_their_parents(drawn: list[tuple[int | None, int, int | None, str, str]]) -> None:
    placed = list(walk(grow(Trace(ID, _spans(drawn), [], truncated=False))))
    assert len(placed) == len(drawn)
    for before, one in pairwise(placed):
        assert one.depth <= before.depth + 1
        assert (one.depth == 0) == (one.why is not Root.REAL or one.branch.span.parent_span_id is None)
