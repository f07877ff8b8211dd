"""Ids and places: made the same way every time, as LangSmith wants them."""

from uuid import UUID, uuid4

import pytest
from ganglion_exporters._langsmith.ids import (
    above_of,
    below,
    depth_of,
    is_valid_order,
    run_id,
    run_of,
    segment,
    span_key,
    trace_key,
    trace_of,
    trace_uuid,
    within_depth,
)
from hypothesis import given
from hypothesis import strategies as st

START = 1_763_650_800_123_456_789
ROOT = UUID("01a1f978-b5fb-716e-8130-535a72beb39f")
CHILD = UUID("01a1f978-b5fb-716e-8130-535a72beb3a0")
ROOT_ORDER = f"20251120T150000123456Z{ROOT}"


def test_a_segment_is_the_time_in_microseconds_and_the_id() -> None:
    assert segment(START, ROOT) == ROOT_ORDER


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_a_segment_has_one_length_whatever_the_time(start: int) -> None:
    assert len(segment(start, ROOT)) == 58


def test_a_child_that_seems_to_begin_before_its_parent_gets_the_parents_time() -> None:
    assert below(ROOT_ORDER, START - 10**9, CHILD) == f"{ROOT_ORDER}.20251120T150000123456Z{CHILD}"


def test_a_later_child_keeps_its_time() -> None:
    assert below(ROOT_ORDER, START + 10**9, CHILD) == f"{ROOT_ORDER}.20251120T150001123456Z{CHILD}"


def test_a_place_tells_its_run_its_parent_its_trace_and_its_depth() -> None:
    order = below(ROOT_ORDER, START, CHILD)

    assert (run_of(order), above_of(order), trace_of(order), depth_of(order)) == (CHILD, ROOT, ROOT, 2)
    assert (run_of(ROOT_ORDER), above_of(ROOT_ORDER), trace_of(ROOT_ORDER), depth_of(ROOT_ORDER)) == (
        ROOT,
        None,
        ROOT,
        1,
    )


def test_a_deep_place_is_cut_at_an_ancestor() -> None:
    order = below(ROOT_ORDER, START, CHILD)

    assert within_depth(order, 1) == ROOT_ORDER
    assert within_depth(order, 2) == within_depth(order, 3) == order


def test_a_place_that_langsmith_takes_is_valid() -> None:
    assert is_valid_order(ROOT_ORDER, ROOT, ROOT, None)
    assert is_valid_order(below(ROOT_ORDER, START, CHILD), CHILD, ROOT, ROOT)


@pytest.mark.parametrize(
    ("order", "run", "trace", "parent"),
    [
        pytest.param("", ROOT, ROOT, None, id="empty"),
        pytest.param(ROOT_ORDER, CHILD, ROOT, None, id="another run"),
        pytest.param(ROOT_ORDER, ROOT, CHILD, None, id="another trace"),
        pytest.param(ROOT_ORDER, ROOT, ROOT, CHILD, id="a parent that is not in it"),
        pytest.param(f"{ROOT_ORDER}.{ROOT_ORDER}", ROOT, ROOT, ROOT, id="its own parent"),
        pytest.param(f"{ROOT_ORDER}.20251120T145959000000Z{CHILD}", CHILD, ROOT, ROOT, id="before its parent"),
        pytest.param(f"20251120T150000123Z{ROOT}", ROOT, ROOT, None, id="milliseconds"),
        pytest.param(f"20251320T150000123456Z{ROOT}", ROOT, ROOT, None, id="month 13"),
        pytest.param(ROOT_ORDER.upper(), ROOT, ROOT, None, id="upper case"),
        pytest.param(".".join([ROOT_ORDER] * 1000), ROOT, ROOT, ROOT, id="endless"),
    ],
)
def test_a_place_that_langsmith_refuses_is_not_valid(order: str, run: UUID, trace: UUID, parent: UUID | None) -> None:
    assert not is_valid_order(order, run, trace, parent)


def test_a_run_id_is_version_7_at_the_spans_start_and_always_the_same() -> None:
    identity = run_id(bytes(16), bytes(8), START)

    assert identity.version == 7
    assert identity.int >> 80 == START // 10**6
    assert identity == run_id(bytes(16), bytes(8), START) != run_id(bytes(16), bytes(8), START, "another project")


def test_a_random_trace_id_that_looks_like_version_7_becomes_version_8() -> None:
    trace_id = bytes.fromhex("4bf92f3577b37da6a3ce929d0e0e4736")

    assert trace_uuid(trace_id, START) == UUID("4bf92f35-77b3-8da6-a3ce-929d0e0e4736")


def test_other_trace_ids_stay() -> None:
    of_now = (START // 10**6).to_bytes(6, "big") + bytes.fromhex("7da6a3ce929d0e0e4736")

    assert trace_uuid(of_now, START).bytes == of_now
    assert trace_uuid(random := uuid4().bytes, START).bytes == random


@given(st.binary(max_size=40))
def test_keys_have_one_length_whatever_the_ids(identity: bytes) -> None:
    assert (len(span_key(identity)), len(trace_key(identity))) == (8, 16)
