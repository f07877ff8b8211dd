from collections.abc import Sequence
from itertools import pairwise
from math import inf
from sys import float_info
from typing import Any

import msgspec
import pytest
from ganglion_collector.metric_values import (
    Buckets,
    ExponentialHistogram,
    Histogram,
    Summary,
    Value,
    add,
    bucket_index,
    downscale,
    fit,
    of_point,
    subtract,
    widen_zero,
    write_point,
)
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

sizes = st.floats(min_value=1e-9, max_value=1e9)
numbers = st.one_of(sizes, sizes.map(float.__neg__), st.just(0.0))


def exponential(values: Sequence[float], scale: int = 5) -> ExponentialHistogram:
    """Record one by one, without this module's merging."""
    sides: list[dict[int, int]] = [{}, {}]
    for value in values:
        if value:
            side, index = sides[value < 0], bucket_index(abs(value), scale)
            side[index] = side.get(index, 0) + 1
    positive, negative = (
        Buckets(min(side, default=0), tuple(side.get(i, 0) for i in range(min(side), max(side) + 1)) if side else ())
        for side in sides
    )
    zeros = sum(not value for value in values)
    return ExponentialHistogram(len(values), sum(values), scale, 0.0, zeros, positive, negative)


def counts(value: Value | None) -> Any:
    assert isinstance(value, ExponentialHistogram)
    return value.count, value.scale, value.zero_count, value.positive, value.negative


def sdk_histogram(values: Sequence[float]) -> Any:
    reader = InMemoryMetricReader()
    view = View(instrument_name="h", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider(metric_readers=[reader], views=[view], shutdown_on_exit=False)
    histogram = provider.get_meter("m").create_histogram("h")
    for value in values:
        histogram.record(value)
    data: Any = reader.get_metrics_data()
    provider.shutdown()
    return data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]


@given(st.lists(st.integers(-30, 30).map(lambda e: 1.37**e), min_size=1, max_size=40))
def test_recording_by_merging_gives_the_sdks_buckets(values: list[float]) -> None:
    total: Value | None = exponential(values[:1], 8)
    for value in values[1:]:
        assert total is not None
        total = add(total, exponential([value], 8))
    point = sdk_histogram(values)
    # The SDK begins at its own finest scale; both are exact, so the coarser of the two is what they share.
    ours = total
    assert isinstance(ours, ExponentialHistogram)
    theirs = ExponentialHistogram(
        point.count,
        point.sum,
        point.scale,
        0.0,
        point.zero_count,
        Buckets(point.positive.offset, tuple(point.positive.bucket_counts)),
        Buckets(0, ()),
    )
    scale = min(ours.scale, theirs.scale)
    assert _plain(downscale(ours, scale)) == _plain(downscale(theirs, scale))


def _plain(value: ExponentialHistogram) -> dict[int, int]:
    return {place: count for place, count in enumerate(value.positive.counts, value.positive.offset) if count}


@given(st.lists(numbers, min_size=1, max_size=60), st.data())
def test_merging_in_any_split_is_recording_all(values: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(values)))
    scale = data.draw(st.integers(-3, 3))
    left, right = exponential(values[:cut], scale), exponential(values[cut:], scale)
    assert counts(add(left, right)) == counts(fit(exponential(values, scale)))


@given(st.lists(st.lists(numbers, max_size=10), min_size=2, max_size=6), st.integers(2, 40))
def test_the_order_of_merging_does_not_matter(parts: list[list[float]], most: int) -> None:
    forwards: Value | None = fit(exponential(parts[0]), most)
    backwards: Value | None = fit(exponential(parts[-1]), most)
    for ahead, behind in zip(parts[1:], reversed(parts[:-1]), strict=True):
        assert forwards is not None
        assert backwards is not None
        forwards, backwards = add(forwards, exponential(ahead), most), add(backwards, exponential(behind), most)
    assert isinstance(forwards, ExponentialHistogram)
    assert counts(forwards) == counts(backwards)
    assert max(len(forwards.positive.counts), len(forwards.negative.counts)) <= most


@given(st.lists(numbers, min_size=1, max_size=30), st.lists(numbers, max_size=30))
def test_subtracting_undoes_adding(earlier: list[float], later: list[float]) -> None:
    total = add(exponential(earlier), exponential(later))
    assert isinstance(total, ExponentialHistogram)
    difference = subtract(total, exponential(earlier))
    assert counts(difference) == counts(downscale(exponential(later), total.scale))


@given(st.lists(numbers, max_size=40), st.lists(st.floats(0, 1e9), min_size=2, max_size=2))
def test_a_wider_zero_loses_no_count(values: list[float], thresholds: list[float]) -> None:
    value = exponential(values, 3)
    for threshold in thresholds:
        value = widen_zero(value, threshold)
        assert value.zero_threshold >= threshold
        assert value.zero_count + sum(value.positive.counts) + sum(value.negative.counts) == len(values)
        assert value.zero_count >= sum(abs(number) <= threshold for number in values)


@given(st.lists(sizes, min_size=1, max_size=20), st.lists(sizes, min_size=1, max_size=20), st.floats(1e-9, 1e9))
def test_merging_with_another_zero_threshold_loses_no_count(a: list[float], b: list[float], threshold: float) -> None:
    merged = add(widen_zero(exponential(a, 4), threshold), exponential(b, 2))
    assert isinstance(merged, ExponentialHistogram)
    assert merged.zero_threshold >= threshold
    assert merged.zero_count + sum(merged.positive.counts) == len(a) + len(b) == merged.count


@given(sizes, st.integers(-8, 20))
def test_a_size_lies_within_its_bucket(size: float, scale: int) -> None:
    index = bucket_index(size, scale)
    low, high = (2.0 ** (place * 2.0**-scale) for place in (index, index + 1))
    assert low * (1 - 1e-12) <= size <= high * (1 + 1e-12)


@pytest.mark.parametrize("scale", [-3, 0, 1, 8, 20])
@pytest.mark.parametrize("exponent", [-1000, -8, -1, 0, 1, 8, 1000])
def test_a_power_of_two_is_the_end_of_its_bucket(scale: int, exponent: int) -> None:
    expected = -((-exponent * 2**scale) // 1) - 1 if scale >= 0 else -(-exponent // 2**-scale) - 1
    assert bucket_index(2.0**exponent, scale) == expected


@pytest.mark.parametrize("scale", [-4, 0, 20])
def test_what_is_too_small_for_a_double_of_full_precision_is_in_the_bucket_of_the_smallest(scale: int) -> None:
    assert bucket_index(1.5e-323, scale) == bucket_index(float_info.min, scale)


def test_far_buckets_are_merged_without_making_those_between() -> None:
    merged = add(
        ExponentialHistogram(1, 1.0, 20, 0.0, 0, Buckets(-(2**31), (1,)), Buckets(0, ())),
        ExponentialHistogram(1, 1.0, 20, 0.0, 0, Buckets(2**31, (1,)), Buckets(0, ())),
    )
    assert isinstance(merged, ExponentialHistogram)
    assert (merged.count, len(merged.positive.counts) <= 160) == (2, True)


def test_histograms_of_one_kind_of_bounds_add_and_subtract() -> None:
    one, two = Histogram(3, 4.0, (1.0, 2.0), (1, 0, 2)), Histogram(2, 1.0, (1.0, 2.0), (2, 0, 0))
    total = add(one, two)
    assert total == Histogram(5, 5.0, (1.0, 2.0), (3, 0, 2))
    assert total is not None
    assert subtract(total, one) == two


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Histogram(1, 1.0, (1.0,), (1, 0)), Histogram(1, 1.0, (2.0,), (1, 0))),
        (Histogram(1, 1.0, (1.0,), (1, 0)), 3),
        (3, exponential([1.0])),
        (Summary(1, 1.0, ()), Summary(1, 1.0, ())),
    ],
    ids=["bounds", "histogram and number", "number and exponential", "summaries"],
)
def test_what_does_not_fit_is_not_added(left: Value, right: Value) -> None:
    assert add(left, right) is None
    assert subtract(left, right) is None


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        (1, 2),
        (Histogram(2, 1.0, (1.0,), (0, 2)), Histogram(1, 1.0, (1.0,), (1, 0))),
        (exponential([4.0]), exponential([2.0])),
        (exponential([2.0], 3), exponential([2.0], 2)),
        (exponential([2.0]), widen_zero(exponential([2.0]), 0.5)),
    ],
    ids=["number", "bucket", "exponential bucket", "finer scale", "narrower zero"],
)
def test_a_value_that_shrank_began_anew(later: Value, earlier: Value) -> None:
    assert subtract(later, earlier) is None


def test_sums_are_unknown_where_one_is() -> None:
    total = add(Histogram(1, None, (), (1,)), Histogram(1, 2.0, (), (1,)))
    assert total == Histogram(2, None, (), (2,))


def test_whole_numbers_stay_exact() -> None:
    assert add(2**62, 1) == 2**62 + 1
    assert isinstance(add(1, 0.5), float)


@pytest.mark.parametrize(
    "huge",
    [
        Histogram(2**63 - 1, 0.0, (), (2**63 - 1,)),
        ExponentialHistogram(2**63 - 1, 0.0, 0, 0.0, 2**63 - 1, Buckets(0, ()), Buckets(0, ())),
    ],
    ids=["explicit", "exponential"],
)
def test_counts_past_64_bits_do_not_fit(huge: Value) -> None:
    assert add(huge, huge) is None


def test_an_integer_past_64_bits_becomes_a_double() -> None:
    found = add(2**63 - 1, 1)
    assert (found, type(found)) == (2.0**63, float)


def test_an_integer_past_64_bits_is_written_as_a_double() -> None:
    point = NumberDataPoint()
    write_point(2**63, point)
    assert (point.WhichOneof("value"), point.as_double) == ("as_double", 2.0**63)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("sum", 5, NumberDataPoint()),
        ("gauge", 0.5, NumberDataPoint()),
        ("histogram", Histogram(3, None, (1.0, 2.0), (1, 0, 2)), HistogramDataPoint(sum=3)),
        ("exponential_histogram", exponential([0.0, 1.0, -3.0]), ExponentialHistogramDataPoint()),
        ("summary", Summary(2, 3.0, ((0.5, 1.0),)), SummaryDataPoint()),
    ],
)
def test_a_value_comes_back_from_its_point(kind: str, value: Value, message: Any) -> None:
    write_point(value, message)
    assert of_point(kind, message) == value


@pytest.mark.parametrize(
    "value", [1, 1.5, inf, exponential([1.0, -1.0]), Histogram(1, None, (), (1,)), Summary(0, 0.0, ())]
)
def test_a_value_comes_back_from_msgspec(value: Value) -> None:
    found = msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=Value)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("histogram", HistogramDataPoint(bucket_counts=[1, 2, 3], explicit_bounds=[1])),
        ("histogram", HistogramDataPoint(bucket_counts=[1, 2, 3], explicit_bounds=[2, 1])),
        ("histogram", HistogramDataPoint(bucket_counts=[1, 2], explicit_bounds=[float("nan")])),
        ("exponential_histogram", ExponentialHistogramDataPoint(scale=-11)),
        ("exponential_histogram", ExponentialHistogramDataPoint(scale=-(2**31))),
        ("exponential_histogram", ExponentialHistogramDataPoint(zero_threshold=-1)),
        ("exponential_histogram", ExponentialHistogramDataPoint(zero_threshold=float("nan"))),
        ("histogram", HistogramDataPoint(bucket_counts=[2**63, 2**63], explicit_bounds=[1])),
        ("histogram", HistogramDataPoint(count=2**63)),
        ("exponential_histogram", ExponentialHistogramDataPoint(zero_count=2**64 - 1)),
        ("nothing", NumberDataPoint()),
    ],
)
def test_a_point_that_contradicts_itself_is_refused(kind: str, point: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        of_point(kind, point)


def test_a_histogram_without_buckets_has_one() -> None:
    assert of_point("histogram", HistogramDataPoint(count=4, sum=2)) == Histogram(4, 2.0, (), (4,))


def test_a_bound_at_infinity_is_the_overflow_itself() -> None:
    point = HistogramDataPoint(count=3, bucket_counts=[1, 2, 0], explicit_bounds=[1, inf])
    assert of_point("histogram", point) == Histogram(3, None, (1.0,), (1, 2))


def test_buckets_are_believed_before_the_count() -> None:
    value = of_point("exponential_histogram", ExponentialHistogramDataPoint(count=9, zero_count=2))
    assert isinstance(value, ExponentialHistogram)
    assert value.count == 2


def test_a_scale_that_no_double_can_have_is_lowered() -> None:
    point = ExponentialHistogramDataPoint(scale=2**31 - 1)
    point.positive.offset = 2**31 - 1
    point.positive.bucket_counts.append(1)
    value = of_point("exponential_histogram", point)
    assert isinstance(value, ExponentialHistogram)
    assert (value.scale, value.positive) == (20, Buckets(0, (1,)))


def test_indexes_grow_with_sizes() -> None:
    indexes = [bucket_index(1.001**step, 10) for step in range(1, 2000)]
    assert all(low <= high for low, high in pairwise(indexes))


@given(st.integers(1, 20), st.integers(-2000, 2000))
def test_a_bound_belongs_to_the_bucket_below_it(scale: int, index: int) -> None:
    assert bucket_index(2.0 ** ((index + 1) / 2**scale), scale) == index


def test_a_zero_threshold_inside_a_filled_bucket_covers_it_whole() -> None:
    value = ExponentialHistogram(5, 9.0, 0, 0.0, 0, Buckets(0, (2, 3)), Buckets(0, ()))
    assert widen_zero(value, 1.5) == ExponentialHistogram(5, 9.0, 0, 2.0, 2, Buckets(1, (3,)), Buckets(0, ()))


def test_a_zero_threshold_inside_an_empty_bucket_stays() -> None:
    value = ExponentialHistogram(3, 9.0, 0, 0.0, 0, Buckets(1, (3,)), Buckets(0, ()))
    assert widen_zero(value, 1.5) == ExponentialHistogram(3, 9.0, 0, 1.5, 0, Buckets(1, (3,)), Buckets(0, ()))
