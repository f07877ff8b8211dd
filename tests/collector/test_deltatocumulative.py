from dataclasses import replace
from typing import Any

import pytest
from ganglion_collector.component import Batch, Signal
from ganglion_collector.metric_values import add, of_point
from ganglion_collector.processors.deltatocumulative import DeltaToCumulative, DeltaToCumulativeConfig
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags
from prometheus_client import REGISTRY

from tests.collector.deriving import SECOND, START, batch_of, metric_request, metrics_in, points_in

DELTA, CUMULATIVE = 1, 2


def processor(**config: Any) -> DeltaToCumulative:
    return DeltaToCumulative(DeltaToCumulativeConfig.model_validate(config))


def sums(*points: dict[str, Any], received_at: int = START, **given: Any) -> Batch:
    return batch_of(Signal.METRICS, metric_request("sum", *points, temporality=DELTA, **given), received_at=received_at)


def point(start: int, time: int, value: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "start_time_unix_nano": START + start * SECOND,
        "time_unix_nano": START + time * SECOND,
        "as_int": value,
        **fields,
    }


def dropped(reason: str) -> float:
    labels = {"component": "deltatocumulative", "data_type": "metrics", "reason": reason}
    return REGISTRY.get_sample_value("ganglion_component_dropped_items_total", labels) or 0.0


def test_deltas_add_up_from_the_first_start() -> None:
    totals = processor()
    found = points_in(totals.process(sums(point(0, 1, 5), point(1, 2, 3)))) + points_in(
        totals.process(sums(point(2, 3)))
    )
    assert [item.as_int for item in found] == [5, 8, 9]
    assert [item.start_time_unix_nano for item in found] == [START] * 3
    assert [item.time_unix_nano - START for item in found] == [SECOND, 2 * SECOND, 3 * SECOND]


def test_the_metric_becomes_cumulative() -> None:
    (metric,) = metrics_in(processor().process(sums(point(0, 1))))
    assert (metric.sum.aggregation_temporality, metric.sum.is_monotonic) == (CUMULATIVE, True)


@pytest.mark.parametrize(
    ("late", "reason"),
    [(point(0, 2), "out_of_order"), (point(0, 1), "out_of_order"), (point(-5, 9), "older_start")],
    ids=["duplicate", "older", "older start"],
)
def test_what_was_counted_already_is_left_out_and_counted(late: dict[str, Any], reason: str) -> None:
    totals, before = processor(), dropped(reason)
    totals.process(sums(point(0, 2, 5)))
    assert totals.process(sums(late)).records == ()
    assert dropped(reason) == before + 1
    (found,) = points_in(totals.process(sums(point(2, 10, 1))))
    assert found.as_int == 6


def test_a_gap_does_not_begin_anew() -> None:
    totals = processor()
    totals.process(sums(point(0, 1, 5)))
    (found,) = points_in(totals.process(sums(point(100, 101, 1))))
    assert (found.as_int, found.start_time_unix_nano) == (6, START)


def test_item_count_is_what_is_left() -> None:
    batch = processor().process(sums(point(0, 1), point(0, 1), point(1, 2)))
    assert (batch.item_count, len(points_in(batch))) == (2, 2)


def test_streams_are_told_apart_by_attributes_in_any_order() -> None:
    totals = processor()
    one, two = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    found = points_in(totals.process(sums(point(0, 1, attributes=one), point(1, 2, attributes=two), point(1, 2))))
    assert [item.as_int for item in found] == [1, 2, 1]


@pytest.mark.parametrize("part", ["resource", "scope", "scope version", "schema", "name", "unit", "monotonic"])
def test_streams_are_told_apart_by_what_they_belong_to(part: str) -> None:
    request = metric_request("sum", point(0, 1), temporality=DELTA)
    resource = request.resource_metrics[0]
    scope = resource.scope_metrics[0]
    match part:
        case "resource":
            resource.resource.attributes.add(key="service.name").value.string_value = "other"
        case "scope":
            scope.scope.name = "other"
        case "scope version":
            scope.scope.version = "2"
        case "schema":
            scope.schema_url = "https://example.com"
        case "name":
            scope.metrics[0].name = "m2"
        case "unit":
            scope.metrics[0].unit = "s"
        case _:
            scope.metrics[0].sum.is_monotonic = False
    totals = processor()
    totals.process(sums(point(0, 1, 5)))
    found = totals.process(batch_of(Signal.METRICS, request))
    assert [item.as_int for item in points_in(found, metrics_in(found)[0].name)] == [1]


def test_other_metrics_keep_their_very_bytes() -> None:
    requests = [
        metric_request("gauge", point(0, 1), temporality=0),
        metric_request("sum", point(0, 1), temporality=CUMULATIVE),
        metric_request("summary", {"count": 1}, temporality=0),
    ]
    batch = batch_of(Signal.METRICS, *requests)
    assert processor().process(batch) == batch


def test_what_cannot_be_read_is_passed_on() -> None:
    batch = sums(point(0, 1))
    broken = replace(batch, records=(replace(batch.records[0], payload=b"\xff\xff"),))
    assert processor().process(broken) == broken


def test_histograms_add_up_with_their_extremes() -> None:
    totals = processor()
    for step, (low, high) in enumerate([(2.0, 9.0), (1.0, 3.0)]):
        fields: dict[str, Any] = {
            "count": 2,
            "sum": 5.0,
            "min": low,
            "max": high,
            "bucket_counts": [1, 1],
            "explicit_bounds": [4.0],
        }
        given = point(step, step + 1, **fields)
        del given["as_int"]
        found = totals.process(batch_of(Signal.METRICS, metric_request("histogram", given, temporality=DELTA)))
    (item,) = points_in(found)
    assert (item.count, item.sum, item.min, item.max, list(item.bucket_counts)) == (4, 10.0, 1.0, 9.0, [2, 2])


def test_other_bounds_begin_anew() -> None:
    totals = processor()
    for step, bounds in enumerate([[4.0], [8.0]]):
        given = point(step, step + 1, count=2, bucket_counts=[1, 1], explicit_bounds=bounds)
        del given["as_int"]
        found = totals.process(batch_of(Signal.METRICS, metric_request("histogram", given, temporality=DELTA)))
    (item,) = points_in(found)
    assert (item.count, item.start_time_unix_nano) == (2, START + SECOND)


@given(st.lists(st.tuples(st.integers(-3, 4), st.integers(0, 300), st.integers(1, 5)), min_size=1, max_size=8))
def test_exponential_histograms_add_up_as_values_do(given: list[tuple[int, int, int]]) -> None:
    totals, expected = processor(), None
    for step, (scale, offset, count) in enumerate(given):
        fields = point(step, step + 1, scale=scale, count=count)
        del fields["as_int"]
        request = metric_request("exponential_histogram", fields, temporality=DELTA)
        metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
        sent = metric.exponential_histogram.data_points[0]
        sent.positive.offset = offset
        sent.positive.bucket_counts.append(count)
        value = of_point("exponential_histogram", sent)
        expected = value if expected is None else add(expected, value)
        (found,) = points_in(totals.process(batch_of(Signal.METRICS, request)))
    assert of_point("exponential_histogram", found) == expected


def test_whole_and_fractional_deltas_add_up() -> None:
    totals = processor()
    fraction = point(1, 2)
    del fraction["as_int"]
    found = points_in(totals.process(sums(point(0, 1, 1), {**fraction, "as_double": 0.5})))
    assert [item.WhichOneof("value") for item in found] == ["as_int", "as_double"]
    assert found[1].as_double == 1.5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_would_spoil_the_total_is_left_out(value: float) -> None:
    totals, before = processor(), dropped("not_a_number")
    bad = point(1, 2)
    del bad["as_int"]
    found = points_in(totals.process(sums(point(0, 1, 1), {**bad, "as_double": value}, point(2, 3, 1))))
    assert [item.as_int for item in found] == [1, 2]
    assert dropped("not_a_number") == before + 1


def test_a_point_that_contradicts_itself_is_left_out() -> None:
    given = point(0, 1, count=2, bucket_counts=[1, 1, 1], explicit_bounds=[4.0])
    del given["as_int"]
    before = dropped("invalid")
    assert (
        processor().process(batch_of(Signal.METRICS, metric_request("histogram", given, temporality=DELTA))).records
        == ()
    )
    assert dropped("invalid") == before + 1


@pytest.mark.parametrize("fields", [{"as_int": 2**63 - 1}, {"count": 2**63 - 1}, {"zero_count": 2**63 - 1}])
def test_totals_past_64_bits_can_still_be_saved(fields: dict[str, int]) -> None:
    kind = {"as_int": "sum", "count": "histogram", "zero_count": "exponential_histogram"}[next(iter(fields))]
    totals = processor()
    for at in range(4):
        given = {"start_time_unix_nano": START + at, "time_unix_nano": START + at + 1, **fields}
        totals.process(batch_of(Signal.METRICS, metric_request(kind, given, temporality=DELTA)))
    processor().restore(totals.state())


def test_an_ended_stream_is_passed_on_and_forgotten() -> None:
    totals = processor()
    totals.process(sums(point(0, 1, 5)))
    ended = point(1, 2)
    del ended["as_int"]
    ended["flags"] = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
    assert [item.flags for item in points_in(totals.process(sums(ended)))] == [1]
    assert [item.as_int for item in points_in(totals.process(sums(point(2, 3, 1))))] == [1]


def test_a_stale_stream_is_forgotten() -> None:
    totals = processor(max_stale="5m")
    totals.process(sums(point(0, 1, 5)))
    (found,) = points_in(totals.process(sums(point(300, 301, 1), received_at=START + 300 * SECOND)))
    assert found.as_int == 6
    (found,) = points_in(totals.process(sums(point(700, 701, 1), received_at=START + 601 * SECOND)))
    assert (found.as_int, found.start_time_unix_nano) == (1, START + 700 * SECOND)


def test_stale_streams_leave_the_state() -> None:
    totals = processor(max_stale="5m")
    totals.process(sums(*(point(0, 1, attributes={"n": number}) for number in range(100))))
    size = len(totals.state())
    totals.process(sums(point(900, 901), received_at=START + 900 * SECOND))
    assert len(totals.state()) < size / 10


def test_streams_past_the_limit_are_left_out_and_counted() -> None:
    totals, before = processor(max_streams=2), dropped("too_many_streams")
    batch = totals.process(sums(*(point(0, 1, attributes={"n": number}) for number in range(5))))
    assert batch.item_count == 2
    assert dropped("too_many_streams") == before + 3
    assert totals.process(sums(point(1, 2, attributes={"n": 0}))).item_count == 1


def test_exemplars_and_attributes_stay() -> None:
    request = metric_request("sum", point(0, 1, attributes={"a": "1"}), temporality=DELTA)
    sent = request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0]
    sent.exemplars.add(trace_id=bytes(16), as_int=1)
    (found,) = points_in(processor().process(batch_of(Signal.METRICS, request)))
    assert (list(found.exemplars), list(found.attributes)) == (list(sent.exemplars), list(sent.attributes))


def test_a_metric_without_points_left_goes_and_others_stay() -> None:
    totals = processor()
    totals.process(sums(point(0, 1)))
    request = metric_request("sum", point(0, 1), temporality=DELTA)
    request.MergeFrom(metric_request("gauge", point(0, 1, 7), temporality=0, name="g"))
    batch = totals.process(batch_of(Signal.METRICS, request))
    assert [metric.name for metric in metrics_in(batch)] == ["g"]
    assert batch.item_count == 1


def test_untouched_records_are_not_made_anew() -> None:
    batch = batch_of(Signal.METRICS, metric_request("gauge", point(0, 1), temporality=0))
    assert processor().process(batch).records[0] is batch.records[0]


def test_a_stream_is_stale_before_it_is_swept_away() -> None:
    totals = processor(max_stale="5m")
    totals.process(sums(point(0, 1, 5)))
    totals.process(sums(point(0, 1), name="other", received_at=START + 290 * SECOND))
    (found,) = points_in(totals.process(sums(point(301, 302, 1), received_at=START + 301 * SECOND)))
    assert found.as_int == 1
