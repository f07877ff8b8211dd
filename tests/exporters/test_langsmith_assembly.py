"""Whatever spans come, in whatever order: a tree that LangSmith takes."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import perf_counter
from typing import Any
from uuid import UUID

import pytest
from ganglion_exporters._langsmith.assembly import ROOT, Assembly, AssemblySettings, assemble, is_phantom
from ganglion_exporters._langsmith.ids import below, depth_of, run_id, segment, trace_uuid
from ganglion_exporters._langsmith.model import Draft, GivenIds, Placed, Run
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.langsmith_rules import check_run, check_trace

NOW = 1_763_650_800_123_456_789
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
T = UUID(bytes=TRACE)
SECOND = 10**9
HOUR = 3600 * SECOND


def key(number: int) -> bytes:
    return (number + 1).to_bytes(8, "big")


def draft(number: int, parent: int | None = None, start: int = 0, **fields: Any) -> Draft:
    """Span `number`, `start` nanoseconds after NOW."""
    above = b"" if parent is None else key(parent)
    begun = NOW + start
    made = Draft(TRACE, key(number), above, f"span {number}", "chain", begun, begun + 1000)
    return replace(made, **fields)


def assembled(drafts: Sequence[Draft], known: Mapping[bytes, Placed] | None = None, **fields: Any) -> Assembly:
    return assemble(drafts, known or {}, AssemblySettings(**fields), NOW)


def moment(nanoseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)).isoformat()


def sent(run: Run) -> dict[str, Any]:
    """What LangSmith would be sent of the run's place."""
    return {
        "id": str(run.id),
        "trace_id": str(run.trace_id),
        "parent_run_id": str(run.parent_run_id) if run.parent_run_id else None,
        "dotted_order": run.dotted_order,
        "name": run.draft.name,
        "run_type": run.draft.run_type,
        "start_time": moment(run.draft.start),
        "end_time": moment(run.draft.end),
    }


def tree(assembly: Assembly) -> dict[str, str]:
    """Return each run's parent by name, "" for a root."""
    names = {run.id: run.draft.name for run in assembly.runs}
    return {run.draft.name: names[run.parent_run_id] if run.parent_run_id else "" for run in assembly.runs}


def named(assembly: Assembly, name: str) -> Run:
    (run,) = [run for run in assembly.runs if run.draft.name == name]
    return run


def assert_whole(*assemblies: Assembly) -> None:
    """Assert that the runs of the assemblies, in their order, are one whole trace without any run twice."""
    runs = [run for assembly in assemblies for run in assembly.runs]
    there = set[UUID]()
    for run in runs:
        assert run.update or run.id not in there
        assert run.parent_run_id is None or run.parent_run_id in there
        there.add(run.id)
    if runs:
        check_trace(map(sent, runs))


def test_spans_become_a_tree_with_the_traces_id_as_its_root() -> None:
    assembly = assembled([draft(2, 1, 20), draft(1, 0, 10), draft(0)])

    assert_whole(assembly)
    assert tree(assembly) == {"span 0": "", "span 1": "span 0", "span 2": "span 1"}
    assert assembly.runs[0].id == T
    assert assembly.runs[1].id == run_id(TRACE, key(1), NOW + 10)


def test_all_ids_are_of_version_7_where_roots_go_by_time() -> None:
    assembly = assembled([draft(0), draft(1, 0, 10)], root_ids="time")

    assert_whole(assembly)
    assert [run.id.version for run in assembly.runs] == [7, 7]


def test_a_missing_root_is_stood_in_for() -> None:
    assembly = assembled([draft(1, 0, 10), draft(2, 0, 30)])

    assert_whole(assembly)
    assert tree(assembly) == {"(missing root)": "", "span 1": "(missing root)", "span 2": "(missing root)"}
    root = assembly.runs[0]
    assert (root.id, root.draft.start, root.draft.end) == (T, NOW + 10, NOW + 1030)
    assert root.draft.metadata["ganglion.synthetic_root"] is True
    assert assembly.placed[ROOT].synthetic
    assert named(assembly, "span 1").draft.metadata["otel.parent_span_id"] == key(0).hex()


def test_the_real_root_updates_the_synthetic_one_once() -> None:
    first = assembled([draft(1, 0, 10)])
    second = assembled([draft(0, None, -50)], first.placed)
    third = assembled([draft(3, None, 5), draft(4, 0, 5)], first.placed | second.placed)

    (root,) = second.runs
    assert (root.update, root.id, root.dotted_order) == (True, T, first.runs[0].dotted_order)
    assert (root.draft.name, root.draft.start) == ("span 0", NOW - 50)
    assert not second.placed[ROOT].synthetic
    assert [(run.update, run.parent_run_id) for run in third.runs] == [(False, T), (False, T)]


@pytest.mark.parametrize(("start", "updates"), [(-SECOND // 2, True), (-2 * SECOND, False)])
def test_an_id_of_another_time_is_not_given_to_the_real_root(start: int, updates: bool) -> None:
    first = assembled([draft(1, 0, 10)], root_ids="time")
    second = assembled([draft(0, None, start)], first.placed, root_ids="time")

    assert_whole(first, second)
    assert [run.update for run in second.runs] == [updates]


def test_a_late_span_hangs_under_what_was_delivered_before() -> None:
    first = assembled([draft(0), draft(1, 0, 10)])
    late = assembled([draft(2, 1, 20), draft(3, 2, 30)], first.placed)

    assert_whole(first, late)
    assert late.runs[0].parent_run_id == first.runs[1].id


def test_a_late_child_of_the_root_hangs_under_the_traces_run() -> None:
    first = assembled([draft(0)])
    late = assembled([draft(1, 0, 10)], first.placed)

    assert late.runs[0].parent_run_id == T
    assert "otel.parent_span_id" not in late.runs[0].draft.metadata


def test_a_span_without_its_parent_hangs_under_the_root_and_names_its_parent() -> None:
    assembly = assembled([draft(0), draft(2, 1, 10)])

    assert tree(assembly)["span 2"] == "span 0"
    assert named(assembly, "span 2").draft.metadata["otel.parent_span_id"] == key(1).hex()


def test_a_span_that_comes_twice_makes_one_run() -> None:
    first = assembled([draft(0), draft(0, None, 5), draft(1, 0)])

    assert len(first.runs) == 2
    assert assembled([draft(1, 0), draft(0)], first.placed).runs == []


def test_of_two_roots_the_first_is_the_root() -> None:
    assembly = assembled([draft(1, None, 10), draft(0), draft(2, 1, 20)])

    assert_whole(assembly)
    assert tree(assembly) == {"span 0": "", "span 1": "span 0", "span 2": "span 1"}


@pytest.mark.parametrize(
    "drafts",
    [
        pytest.param([draft(0, 0)], id="its own parent"),
        pytest.param([draft(0, 1), draft(1, 0)], id="of two"),
        pytest.param([draft(0, 2), draft(1, 0), draft(2, 1), draft(3, 2), draft(4)], id="of three beside a root"),
    ],
)
def test_a_cycle_is_cut(drafts: list[Draft]) -> None:
    assembly = assembled(drafts)

    assert_whole(assembly)
    assert {draft.name for draft in drafts} <= tree(assembly).keys()


def test_a_child_before_its_parent_keeps_its_start_and_its_id() -> None:
    assembly = assembled([draft(0), draft(1, 0, -5 * SECOND), draft(2, 1, -9 * SECOND)])

    assert_whole(assembly)
    assert [run.draft.start - NOW for run in assembly.runs] == [0, -5 * SECOND, -9 * SECOND]


def test_a_run_never_ends_before_it_starts() -> None:
    assembly = assembled([draft(0, end=NOW - 5)])

    assert assembly.runs[0].draft.end == NOW


@pytest.mark.parametrize("start", [-24 * HOUR, -30 * HOUR, 2 * HOUR, -NOW], ids=str)
def test_a_run_outside_the_window_goes_alone(start: int) -> None:
    assembly = assembled([draft(0), draft(1, 0, start), draft(2, 1)])

    assert_whole(assembly)
    assert [run.draft.name for run in assembly.runs if run.alone] == ["span 1"]


def test_a_run_outside_the_window_is_shifted_to_its_border() -> None:
    assembly = assembled([draft(0, None, -30 * HOUR), draft(1, 0)], too_old="shift")

    assert_whole(assembly)
    root = assembly.runs[0]
    assert root.draft.start == NOW - 23 * HOUR - HOUR // 2
    assert root.draft.metadata["otel.start_time_unix_nano"] == str(NOW - 30 * HOUR)
    assert not root.alone
    assert root.draft.end >= root.draft.start


def test_a_run_outside_the_window_is_rejected_with_the_reason() -> None:
    assembly = assembled([draft(0, None, -30 * HOUR), draft(1, 0)], too_old="dead_letter")

    assert_whole(assembly)
    assert tree(assembly) == {"(missing root)": "", "span 1": "(missing root)"}
    ((rejected, reason),) = assembly.rejected
    assert rejected.name == "span 0"
    assert "LangSmith" in reason


def test_only_llm_leaves_the_one_top_as_the_root() -> None:
    spans = [draft(0), draft(1, 0), draft(2, 1, is_llm=True), draft(3, 2), draft(4, 3, is_llm=True)]

    assembly = assembled(spans, only_llm=True)

    assert_whole(assembly)
    assert tree(assembly) == {"span 2": "", "span 4": "span 2"}
    assert assembly.runs[0].id == T


def test_only_llm_keeps_the_root_where_several_are_at_the_top() -> None:
    spans = [draft(0), draft(1, 0), draft(2, 1, is_llm=True), draft(3, 1, is_llm=True)]

    assembly = assembled(spans, only_llm=True)

    assert_whole(assembly)
    assert tree(assembly) == {"span 0": "", "span 2": "span 0", "span 3": "span 0"}


def test_only_llm_sends_nothing_of_a_trace_without() -> None:
    assembly = assembled([draft(0), draft(1, 0)], only_llm=True)

    assert (assembly.runs, assembly.placed) == ([], {})


def test_only_llm_hangs_a_late_span_under_the_nearest_one_that_was_kept() -> None:
    first = assembled([draft(0), draft(1, 0, is_llm=True), draft(2, 1), draft(3, 0)], only_llm=True)
    late = assembled([draft(4, 2, is_llm=True), draft(5, 3, is_llm=True)], first.placed, only_llm=True)

    assert_whole(first, late)
    assert [run.parent_run_id for run in late.runs] == [T, T]


def test_only_llm_updates_a_synthetic_root_with_the_real_one() -> None:
    first = assembled([draft(1, 0, is_llm=True), draft(2, 0, is_llm=True)], only_llm=True)
    second = assembled([draft(0)], first.placed, only_llm=True)

    assert [run.update for run in second.runs] == [True]


def given_ids(number: int, above: str = "") -> GivenIds:
    identity = run_id(TRACE, b"given" + key(number), NOW)
    order = below(above, NOW, identity) if above else segment(NOW, identity)
    parent = UUID(above[-36:]) if above else None
    return GivenIds(identity, UUID(order[22:58]), parent, order)


def test_given_ids_are_used_as_they_are() -> None:
    root = given_ids(0)
    child = given_ids(1, root.dotted_order)

    assembly = assembled([draft(0, given=root), draft(1, 0, given=child), draft(2, 1, 10)])

    assert_whole(assembly)
    assert [run.id for run in assembly.runs[:2]] == [root.run_id, child.run_id]
    assert assembly.runs[2].parent_run_id == child.run_id
    assert {run.trace_id for run in assembly.runs} == {root.run_id}


def test_given_ids_that_do_not_fit_are_not_used() -> None:
    wrong = replace(given_ids(0), trace_id=T)

    assembly = assembled([draft(0, given=wrong), draft(1, 0)])

    assert_whole(assembly)
    assert assembly.runs[0].id == T


def test_given_ids_that_come_twice_are_used_once() -> None:
    same = given_ids(0)

    assembly = assembled([draft(0, given=same), draft(1, 0, given=same)])

    assert_whole(assembly)
    assert len({run.id for run in assembly.runs}) == 2


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=str)
def test_given_ids_that_contradict_each_other_are_not_used(order: tuple[int, ...]) -> None:
    parent = given_ids(1)
    elsewhere = given_ids(1, given_ids(0).dotted_order)
    child = given_ids(2, parent.dotted_order)
    said = [draft(0, given=elsewhere), draft(1, given=child), draft(2, given=parent)]

    runs = assembled([replace(said[number], start=NOW + at) for at, number in enumerate(order)]).runs

    seen = [run.id for run in runs]
    assert all(run.parent_run_id not in seen[index:] for index, run in enumerate(runs))
    assert {run.dotted_order for run in runs} & {one.dotted_order for one in (parent, elsewhere)}


def phantom(number: int, above: GivenIds) -> Draft:
    """What a native span opened in a traceable function says: the run's ids, which no span has."""
    return replace(draft(number), trace_id=above.trace_id.bytes, parent_span_id=above.run_id.bytes[:8])


def test_a_span_below_a_runs_own_id_hangs_under_that_run() -> None:
    root = given_ids(0)
    first = assembled([draft(0, given=root)])
    known = {span: placed for (trace, span), placed in first.aliases.items() if trace == root.trace_id.bytes}

    second = assemble([phantom(5, root)], known, AssemblySettings(), NOW)

    assert_whole(first, second)
    assert second.runs[0].parent_run_id == root.run_id


def test_a_span_below_an_unknown_run_never_takes_the_runs_id() -> None:
    root = given_ids(0)

    assembly = assemble([phantom(5, root)], {}, AssemblySettings(), NOW)

    assert_whole(assembly)
    assert assembly.runs[0].id != root.run_id
    assert is_phantom(root.trace_id.bytes, root.run_id.bytes[:8])
    assert not is_phantom(TRACE, key(0))


def test_a_trace_goes_to_one_project() -> None:
    spans = [draft(0), draft(1, 0, 1, project="first"), draft(2, 1, 2, project="second"), draft(3, 0, 3)]

    first = assembled(spans)
    late = assembled([draft(4, 3, project="second")], first.placed)

    assert {run.draft.project for run in [*first.runs, *late.runs]} == {"first"}
    assert named(first, "span 2").draft.metadata["ganglion.project"] == "second"


def test_all_runs_share_the_thread_of_their_trace() -> None:
    assembly = assembled([draft(0), draft(1, 0, metadata={"thread_id": "t"}), draft(2, 0)])

    assert [run.draft.metadata.get("thread_id") for run in assembly.runs] == ["t", "t", "t"]


def test_several_threads_of_a_trace_stay_where_they_are() -> None:
    spans = [draft(0), draft(1, 0, metadata={"thread_id": "a"}), draft(2, 0, metadata={"thread_id": "b"})]

    assert assembled(spans).runs[0].draft.metadata == {}


def test_drafts_are_not_changed() -> None:
    spans = [draft(1, 9, -30 * HOUR, project="p"), draft(2, 1, metadata={"thread_id": "t"})]
    before = [replace(one, metadata=dict(one.metadata)) for one in spans]

    assembled(spans, too_old="shift")

    assert spans == before


def test_a_deep_chain_hangs_side_by_side_below_the_deepest_level() -> None:
    assembly = assembled([draft(number, number - 1 if number else None, number) for number in range(10_000)])

    assert max(depth_of(run.dotted_order) for run in assembly.runs) == 100
    assert len({run.id for run in assembly.runs}) == 10_000
    assert all(above.id != below.id for above, below in pairwise(assembly.runs))


def test_a_hundred_thousand_spans_take_ten_times_what_ten_thousand_do() -> None:
    def seconds(count: int) -> float:
        spans = [draft(number, (number - 1) // 3 if number else None, number) for number in range(count)]
        random.Random(7).shuffle(spans)
        begun = perf_counter()
        assert len(assembled(spans).runs) == count
        return perf_counter() - begun

    assert seconds(100_000) < 40 * seconds(10_000)


SPANS = st.builds(
    lambda number, parent, start, llm, marked: draft(number, parent, start, is_llm=llm, is_root=marked),
    st.integers(0, 12),
    st.none() | st.integers(0, 14),
    st.integers(-40 * HOUR, 3 * HOUR) | st.integers(-SECOND, SECOND),
    st.booleans(),
    st.booleans(),
)
SETTINGS = st.builds(
    AssemblySettings,
    only_llm=st.booleans(),
    root_ids=st.sampled_from(["trace", "time"]),
    too_old=st.sampled_from(["isolate", "shift", "dead_letter"]),
    max_depth=st.integers(2, 100),
)


@settings(max_examples=300)
@given(st.lists(st.lists(SPANS, max_size=8), max_size=4), SETTINGS)
def test_any_spans_in_any_parts_make_one_tree_that_langsmith_takes(
    parts: list[list[Draft]], how: AssemblySettings
) -> None:
    known: dict[bytes, Placed] = {}
    assemblies = list[Assembly]()
    for part in parts:
        assemblies.append(assemble(part, known, how, NOW))
        known |= assemblies[-1].placed

    assert_whole(*assemblies)
    if not how.only_llm:
        accounted = {run.draft.span_id for one in assemblies for run in one.runs}
        accounted |= {rejected.span_id for one in assemblies for rejected, _ in one.rejected}
        assert {one.span_id for part in parts for one in part} <= accounted


GIVEN = st.builds(
    lambda number, parent, given, above: draft(
        number, parent, given=(given_ids(given, given_ids(above).dotted_order if above else ""))
    ),
    st.integers(0, 6),
    st.none() | st.integers(0, 7),
    st.integers(0, 5),
    st.integers(0, 5),
)


@given(st.lists(GIVEN | SPANS, max_size=8))
def test_any_given_ids_make_runs_that_langsmith_takes_and_none_twice(spans: list[Draft]) -> None:
    runs = assembled(spans).runs

    for run in runs:
        check_run(sent(run))
    assert len({run.id for run in runs}) == len(runs)
    seen = [run.id for run in runs]
    for index, run in enumerate(runs):
        assert run.parent_run_id not in seen[index:]


@given(st.binary(max_size=20), st.binary(max_size=10), st.binary(max_size=10))
def test_ids_of_any_length_make_a_run(trace_id: bytes, span_id: bytes, parent: bytes) -> None:
    span = replace(draft(0), trace_id=trace_id, span_id=span_id, parent_span_id=parent)

    assert_whole(assembled([span]))


def test_the_same_spans_make_the_same_runs_in_any_order() -> None:
    spans = [draft(number, random.Random(number).randrange(-1, 20), number) for number in range(20)]
    shuffled = random.Random(3).sample(spans, len(spans))

    assert assembled(spans).runs == assembled(shuffled).runs


def test_the_root_is_found_by_the_traces_id_alone() -> None:
    assert assembled([draft(0)]).runs[0].id == trace_uuid(TRACE, NOW)
