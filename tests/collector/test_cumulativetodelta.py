from typing import Any

import pytest
from ganglion_collector.component import Batch, Signal
from ganglion_collector.processors.cumulativetodelta import CumulativeToDelta, CumulativeToDeltaConfig
from ganglion_collector.processors.deltatocumulative import DeltaToCumulative, DeltaToCumulativeConfig
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags
from prometheus_client import REGISTRY
from pydantic import ValidationError

from tests.collector.deriving import SECOND, START, batch_of, metric_request, metrics_in, points_in

DELTA, CUMULATIVE = 1, 2


def processor(**config: Any) -> CumulativeToDelta:
    return CumulativeToDelta(CumulativeToDeltaConfig.model_validate(config))


def point(time: int, value: int = 1, start: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "start_time_unix_nano": START + start * SECOND,
        "time_unix_nano": START + time * SECOND,
        "as_int": value,
        **fields,
    }


def sums(*points: dict[str, Any], received_at: int = START, name: str = "m") -> Batch:
    request = metric_request("sum", *points, temporality=CUMULATIVE, name=name)
    return batch_of(Signal.METRICS, request, received_at=received_at)


def histograms(*points: dict[str, Any]) -> Batch:
    plain = [{key: value for key, value in item.items() if key != "as_int"} for item in points]
    return batch_of(Signal.METRICS, metric_request("histogram", *plain, temporality=CUMULATIVE))


def spans_of(found: Batch) -> list[tuple[int, int, int]]:
    """Start, end and value of each point, in seconds."""
    return [
        ((item.start_time_unix_nano - START) // SECOND, (item.time_unix_nano - START) // SECOND, item.as_int)
        for item in points_in(found)
    ]


def dropped(reason: str) -> float:
    labels = {"component": "cumulativetodelta", "data_type": "metrics", "reason": reason}
    return REGISTRY.get_sample_value("ganglion_component_dropped_items_total", labels) or 0.0


def test_each_point_is_what_was_added_since_the_one_before() -> None:
    deltas = processor()
    found = spans_of(deltas.process(sums(point(1, 5), point(2, 8)))) + spans_of(deltas.process(sums(point(3, 8))))
    assert found == [(0, 1, 5), (1, 2, 3), (2, 3, 0)]


def test_the_metric_becomes_delta() -> None:
    (metric,) = metrics_in(processor().process(sums(point(1))))
    assert (metric.sum.aggregation_temporality, metric.sum.is_monotonic) == (DELTA, True)


@pytest.mark.parametrize(
    ("rule", "start", "kept"),
    [("auto", 0, True), ("auto", -5, False), ("auto", 1, False), ("keep", -5, True), ("drop", 0, False)],
)
def test_the_first_point_follows_initial_value(rule: str, start: int, *, kept: bool) -> None:
    deltas, before = processor(initial_value=rule), dropped("initial_value")
    assert deltas.process(sums(point(1, 5, start))).item_count == int(kept)
    assert dropped("initial_value") == before + (not kept)
    assert spans_of(deltas.process(sums(point(2, 8, start)))) == [(1, 2, 3)]


def test_a_restart_loses_nothing() -> None:
    deltas = processor()
    assert spans_of(deltas.process(sums(point(1, 5), point(3, 7, start=2)))) == [(0, 1, 5), (2, 3, 7)]


def test_a_fall_without_a_new_start_counts_from_zero() -> None:
    deltas = processor()
    assert spans_of(deltas.process(sums(point(1, 5), point(2, 3), point(3, 4)))) == [(0, 1, 5), (1, 2, 3), (2, 3, 1)]


def test_an_unchanged_start_at_the_first_point_is_no_restart() -> None:
    deltas = processor(initial_value="keep")
    assert spans_of(deltas.process(sums(point(1, 5, start=1), point(2, 8, start=1)))) == [(1, 1, 5), (1, 2, 3)]


def test_points_out_of_order_are_left_out_and_counted() -> None:
    deltas, before = processor(), dropped("out_of_order")
    found = deltas.process(sums(point(2, 5), point(2, 5), point(1, 3), point(3, 6)))
    assert spans_of(found) == [(0, 2, 5), (2, 3, 1)]
    assert (found.item_count, dropped("out_of_order")) == (2, before + 2)


def test_sums_that_may_fall_and_other_kinds_keep_their_very_bytes() -> None:
    falling = metric_request("sum", point(1), temporality=CUMULATIVE)
    falling.resource_metrics[0].scope_metrics[0].metrics[0].sum.is_monotonic = False
    others = [metric_request("gauge", point(1), temporality=0), metric_request("sum", point(1), temporality=DELTA)]
    batch = batch_of(Signal.METRICS, falling, *others)
    assert processor().process(batch) == batch


def test_histograms_are_taken_apart_without_their_extremes() -> None:
    buckets: dict[str, Any] = {"explicit_bounds": [4.0], "min": 1.0, "max": 9.0}
    one = point(1, count=2, sum=5.0, bucket_counts=[1, 1], **buckets)
    two = point(2, count=5, sum=9.0, bucket_counts=[3, 2], **buckets)
    _, found = points_in(processor().process(histograms(one, two)))
    assert (found.count, found.sum, list(found.bucket_counts)) == (3, 4.0, [2, 1])
    assert not found.HasField("min")
    assert not found.HasField("max")


def test_other_bounds_leave_a_point_out() -> None:
    deltas, before = processor(), dropped("bucket_mismatch")
    one = point(1, count=2, bucket_counts=[1, 1], explicit_bounds=[4.0])
    two = point(2, count=3, bucket_counts=[2, 1], explicit_bounds=[8.0])
    three = point(3, count=5, bucket_counts=[2, 3], explicit_bounds=[8.0])
    assert [item.count for item in points_in(deltas.process(histograms(one, two, three)))] == [2, 2]
    assert dropped("bucket_mismatch") == before + 1


def test_an_ended_stream_is_left_out_and_forgotten() -> None:
    deltas, before = processor(initial_value="drop"), dropped("no_recorded_value")
    deltas.process(sums(point(1, 5)))
    ended = point(2, flags=DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)
    assert deltas.process(sums(ended)).records == ()
    assert dropped("no_recorded_value") == before + 1
    assert deltas.process(sums(point(3, 5))).records == ()


@pytest.mark.parametrize(
    ("config", "converted"),
    [
        ({}, {"http.a", "http.b", "db"}),
        ({"include": {"metrics": ["db"], "match_type": "strict"}}, {"db"}),
        ({"include": {"metrics": ["^http"], "match_type": "regexp"}}, {"http.a", "http.b"}),
        ({"exclude": {"metrics": ["b$"], "match_type": "regexp"}}, {"http.a"}),
        (
            {
                "include": {"metrics": ["http"], "match_type": "regexp"},
                "exclude": {"metrics": ["http.a"], "match_type": "strict"},
            },
            {"http.b"},
        ),
        ({"include": {"metric_types": ["histogram"]}}, set()),
        ({"exclude": {"metric_types": ["sum"]}}, set()),
    ],
)
def test_only_chosen_metrics_are_converted(config: dict[str, Any], converted: set[str]) -> None:
    deltas = processor(**config)
    found = set()
    for name in ("http.a", "http.b", "db"):
        (metric,) = metrics_in(deltas.process(sums(point(1), name=name)))
        if metric.sum.aggregation_temporality == DELTA:
            found.add(name)
    assert found == converted


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"include": {"metrics": ["a"]}}, "match_type is missing"),
        ({"include": {"match_type": "strict"}}, "metrics is missing"),
        ({"exclude": {"metrics": ["("], "match_type": "regexp"}}, "not a regular expression"),
        ({"include": {"metric_types": ["gauge"]}}, "sum"),
        ({"initial_value": "maybe"}, "auto"),
    ],
)
def test_wrong_settings_are_refused_with_the_reason(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        CumulativeToDeltaConfig.model_validate(config)


def test_a_stale_stream_is_forgotten() -> None:
    deltas = processor(max_staleness="5m", initial_value="drop")
    deltas.process(sums(point(1, 5)))
    assert deltas.process(sums(point(2, 6), received_at=START + 301 * SECOND)).records == ()


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_deltas_add_up_to_what_was_cumulative(added: list[int]) -> None:
    totals = [sum(added[: step + 1]) for step in range(len(added))]
    cumulative = sums(*(point(step + 1, total) for step, total in enumerate(totals)))
    back = DeltaToCumulative(DeltaToCumulativeConfig()).process(processor().process(cumulative))
    assert points_in(back) == points_in(cumulative)
