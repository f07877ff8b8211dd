from collections.abc import Sequence
from typing import Any

import pytest
from ganglion_collector.component import Derived, Signal
from ganglion_collector.connectors.span_metrics import SpanMetricsConfig, SpanMetricsConnector, factory
from ganglion_collector.otlp import count_items, parse_request
from prometheus_client import REGISTRY
from pydantic import ValidationError

from tests.collector.deriving import (
    SECOND,
    SPAN,
    START,
    TRACE,
    attributes_of,
    batch_of,
    metrics_in,
    payload_requests,
    points_in,
    trace_request,
    traces,
)

CALLS, DURATION, EVENTS = (f"traces.span.metrics.{name}" for name in ("calls", "duration", "events"))
LATER = START + 60 * SECOND


def connector(**config: Any) -> SpanMetricsConnector:
    return SpanMetricsConnector(SpanMetricsConfig.model_validate(config))


def delta(**config: Any) -> SpanMetricsConnector:
    return connector(aggregation_temporality="AGGREGATION_TEMPORALITY_DELTA", **config)


def calls(found: Sequence[Derived]) -> dict[str, int]:
    """Calls by span name; empty for the overflow."""
    return {str(attributes_of(point).get("span.name", "")): point.as_int for point in points_in(found, CALLS)}


def dropped(reason: str) -> float:
    labels = {"component": "span_metrics", "data_type": "traces", "reason": reason}
    return REGISTRY.get_sample_value("ganglion_component_dropped_items_total", labels) or 0.0


def test_a_span_becomes_a_call_and_a_duration() -> None:
    spans = connector()
    spans.consume(traces({"name": "GET /", "duration": 7_000_000, "status": 2}))
    found = spans.flush(LATER)
    (call,), (duration,) = points_in(found, CALLS), points_in(found, DURATION)
    assert attributes_of(call) == {
        "service.name": "shop",
        "span.name": "GET /",
        "span.kind": "SPAN_KIND_SERVER",
        "status.code": "STATUS_CODE_ERROR",
    }
    assert (call.as_int, call.start_time_unix_nano, call.time_unix_nano) == (1, START, LATER)
    assert attributes_of(duration) == attributes_of(call)
    assert (duration.count, duration.sum) == (1, 7.0)
    assert list(duration.bucket_counts).index(1) == list(duration.explicit_bounds).index(8.0)


def test_metrics_have_the_collectors_names_and_units() -> None:
    spans = connector()
    spans.consume(traces({}))
    found = spans.flush(LATER)
    assert [(metric.name, metric.unit) for metric in metrics_in(found)] == [(CALLS, ""), (DURATION, "ms")]
    resource = payload_requests(found)[0].resource_metrics[0]
    assert resource.scope_metrics[0].scope.name == "spanmetricsconnector"
    assert attributes_of(resource.resource) == {"service.name": "shop"}
    sum_, histogram = metrics_in(found)
    assert (sum_.sum.is_monotonic, sum_.sum.aggregation_temporality, histogram.histogram.aggregation_temporality) == (
        True,
        2,
        2,
    )


@pytest.mark.parametrize(("namespace", "name"), [("", "calls"), ("rag", "rag.calls")])
def test_a_namespace_goes_before_the_name(namespace: str, name: str) -> None:
    spans = connector(namespace=namespace)
    spans.consume(traces({}))
    assert metrics_in(spans.flush(LATER))[0].name == name


def test_cumulative_counts_go_on_from_one_start() -> None:
    spans = connector()
    for step in range(3):
        spans.consume(traces({}, {}, received_at=START + step * SECOND))
        (point,) = points_in(spans.flush(LATER + step), CALLS)
        assert (point.as_int, point.start_time_unix_nano, point.time_unix_nano) == (2 * step + 2, START, LATER + step)


def test_deltas_are_contiguous_and_end_with_the_spans() -> None:
    spans = delta()
    spans.consume(traces({}, {}))
    (first,) = points_in(spans.flush(LATER), CALLS)
    assert spans.flush(LATER + 1) == []
    spans.consume(traces({}, received_at=LATER + 2))
    (second,) = points_in(spans.flush(LATER + 3), CALLS)
    assert (first.as_int, first.start_time_unix_nano, first.time_unix_nano) == (2, START, LATER)
    assert (second.as_int, second.start_time_unix_nano, second.time_unix_nano) == (1, LATER, LATER + 3)


def test_as_many_ends_of_deltas_are_remembered_as_configured() -> None:
    spans = delta(metric_timestamp_cache_size=2)
    spans.consume(traces({"name": "a"}))
    spans.flush(LATER)
    spans.consume(traces({"name": "b"}))
    spans.flush(LATER)
    spans.consume(traces({"name": "a"}, {"name": "b"}, received_at=LATER + 1))
    starts = {
        attributes_of(point)["span.name"]: point.start_time_unix_nano
        for point in points_in(spans.flush(LATER + 2), CALLS)
    }
    assert starts == {"a": LATER + 1, "b": LATER}


def test_a_delta_does_not_begin_before_the_end_of_one_that_is_forgotten() -> None:
    spans = delta(metric_timestamp_cache_size=1)
    spans.consume(traces({"name": "a"}, {"name": "b"}))
    spans.flush(LATER)
    state, spans = spans.state(), delta(metric_timestamp_cache_size=1)
    spans.restore(state)
    # Received before that flush, but taken from the journal only after it.
    spans.consume(traces({"name": "a"}, {"name": "b"}, received_at=LATER - 1))
    found = spans.flush(LATER + SECOND)
    assert {point.start_time_unix_nano for point in points_in(found, CALLS)} == {LATER}


def test_a_span_that_ends_before_it_starts_has_no_duration() -> None:
    spans = connector()
    spans.consume(traces({"duration": -5 * SECOND}))
    (point,) = points_in(spans.flush(LATER), DURATION)
    assert (point.count, point.sum, point.bucket_counts[0]) == (1, 0.0, 1)


def test_spans_without_a_service_are_left_out_and_counted() -> None:
    before = dropped("no_service_name")
    spans = connector()
    spans.consume(traces({}, {}, resource={"host.name": "a"}))
    assert spans.flush(LATER) == []
    assert dropped("no_service_name") == before + 2


def test_unknown_kinds_and_statuses_are_empty_text() -> None:
    spans = connector()
    spans.consume(traces({"kind": 99, "status": 77}, {"kind": 98, "status": 76}))
    (point,) = points_in(spans.flush(LATER), CALLS)
    assert (attributes_of(point)["span.kind"], attributes_of(point)["status.code"], point.as_int) == ("", "", 2)


def test_a_dimension_is_of_the_span_then_its_resource_then_the_default() -> None:
    spans = connector(dimensions=[{"name": "region", "default": "none"}, {"name": "shard"}])
    resource = {"service.name": "shop", "region": "eu"}
    spans.consume(traces({"name": "a", "attributes": {"region": "us", "shard": 3}}, {"name": "b"}, resource=resource))
    spans.consume(traces({"name": "c"}))
    found = {attributes_of(point)["span.name"]: attributes_of(point) for point in points_in(spans.flush(LATER), CALLS)}
    assert [found[name]["region"] for name in "abc"] == ["us", "eu", "none"]
    assert [found[name].get("shard") for name in "abc"] == [3, None, None]


def test_calls_and_durations_may_have_dimensions_of_their_own() -> None:
    spans = connector(calls_dimensions=[{"name": "x"}], histogram={"dimensions": [{"name": "y"}]})
    spans.consume(traces({"attributes": {"x": "1", "y": "1"}}, {"attributes": {"x": "2", "y": "1"}}))
    found = spans.flush(LATER)
    assert [attributes_of(point)["x"] for point in points_in(found, CALLS)] == ["1", "2"]
    (duration,) = points_in(found, DURATION)
    assert (attributes_of(duration)["y"], "x" in attributes_of(duration), duration.count) == ("1", False, 2)


def test_excluded_dimensions_are_left_out_and_their_series_are_one() -> None:
    spans = connector(exclude_dimensions=["span.name", "status.code"])
    spans.consume(traces({"name": "a"}, {"name": "b", "status": 2}))
    (point,) = points_in(spans.flush(LATER), CALLS)
    assert (sorted(attributes_of(point)), point.as_int) == (["service.name", "span.kind"], 2)


def test_resources_are_told_apart_by_the_chosen_attributes() -> None:
    spans = connector(resource_metrics_key_attributes=["service.name"])
    for process in (1, 2):
        spans.consume(traces({}, resource={"service.name": "shop", "process.pid": process}))
    (point,) = points_in(spans.flush(LATER), CALLS)
    assert point.as_int == 2


def test_the_order_of_resource_attributes_does_not_matter() -> None:
    spans = connector()
    spans.consume(traces({}, resource={"service.name": "shop", "a": "1"}))
    spans.consume(traces({}, resource={"a": "1", "service.name": "shop"}))
    assert [point.as_int for point in points_in(spans.flush(LATER), CALLS)] == [2]


def test_chosen_scopes_become_attributes() -> None:
    spans = connector(include_instrumentation_scope=["http"])
    spans.consume(traces({}, scope="http"))
    spans.consume(traces({}, scope="db"))
    found = [attributes_of(point) for point in points_in(spans.flush(LATER), CALLS)]
    assert [attributes.get("span.instrumentation.scope.name") for attributes in found] == ["http", None]
    assert [attributes.get("span.instrumentation.scope.version") for attributes in found] == ["1", None]


def test_series_past_the_limit_count_as_one() -> None:
    spans = connector(aggregation_cardinality_limit=2)
    spans.consume(traces(*({"name": f"n{number}"} for number in range(10))))
    found = spans.flush(LATER)
    assert calls(found) == {"n0": 1, "n1": 1, "": 8}
    (overflow,) = (point for point in points_in(found, DURATION) if "span.name" not in attributes_of(point))
    assert (attributes_of(overflow), overflow.count) == ({"otel.metric.overflow": True}, 8)


def test_many_names_keep_memory_bounded() -> None:
    spans = connector(aggregation_cardinality_limit=10)
    sizes = []
    for batch in range(4):
        spans.consume(traces(*({"name": f"n{batch}-{number}"} for number in range(500))))
        sizes.append(len(spans.state()))
    assert sizes[-1] < sizes[0] + 100


def test_more_resources_than_the_limit_are_sent_once_and_forgotten() -> None:
    spans = connector(resource_metrics_cache_size=2)
    for number in range(4):
        spans.consume(traces({}, resource={"service.name": f"s{number}"}))
    services = [attributes_of(point)["service.name"] for point in points_in(spans.flush(LATER), CALLS)]
    assert services == ["s0", "s1", "s2", "s3"]
    services = [attributes_of(point)["service.name"] for point in points_in(spans.flush(LATER), CALLS)]
    assert services == ["s2", "s3"]


@pytest.mark.parametrize("key", ["metrics_expiration", "series_expiration"])
def test_what_has_had_no_span_for_long_is_forgotten(key: str) -> None:
    spans = connector(**{key: "2m"})
    spans.consume(traces({"name": "a"}))
    assert calls(spans.flush(LATER)) == {"a": 1}
    assert calls(spans.flush(LATER + 120 * SECOND)) == {"a": 1}
    assert calls(spans.flush(LATER + 121 * SECOND)) == {}
    spans.consume(traces({"name": "a"}, received_at=LATER + 130 * SECOND))
    (point,) = points_in(spans.flush(LATER + 140 * SECOND), CALLS)
    assert (point.as_int, point.start_time_unix_nano) == (1, LATER + 130 * SECOND)


def test_a_backlog_does_not_expire_before_it_was_sent() -> None:
    spans = connector(metrics_expiration="1m")
    for step in range(3):
        spans.consume(traces({"name": "a"}, received_at=START))
        assert calls(spans.flush(START + 10**6 * SECOND + step * SECOND)) == {"a": step + 1}


def test_durations_in_seconds() -> None:
    spans = connector(histogram={"unit": "s", "explicit": {"buckets": ["100us", "1.5s"]}})
    spans.consume(traces({"duration": SECOND}))
    found = spans.flush(LATER)
    (point,) = points_in(found, DURATION)
    assert (metrics_in(found)[1].unit, list(point.explicit_bounds), list(point.bucket_counts), point.sum) == (
        "s",
        [0.0001, 1.5],
        [0, 1, 0],
        1.0,
    )


def test_durations_in_exponential_buckets() -> None:
    spans = connector(histogram={"exponential": {"max_size": 20}})
    spans.consume(traces(*({"duration": 2**step * 1_000_000} for step in range(10)), {"duration": 0}))
    (point,) = points_in(spans.flush(LATER), DURATION)
    assert (point.count, point.sum, point.zero_count, point.min, point.max) == (11, 1023.0, 1, 0.0, 512.0)
    assert sum(point.positive.bucket_counts) == 10
    assert len(point.positive.bucket_counts) <= 20
    assert point.scale == 1


def test_durations_can_be_switched_off() -> None:
    spans = connector(histogram={"disable": True})
    spans.consume(traces({}))
    assert [metric.name for metric in metrics_in(spans.flush(LATER))] == [CALLS]


def test_exemplars_lead_to_the_latest_trace_of_each_bucket() -> None:
    spans = connector()
    other = bytes(range(20, 36))
    spans.consume(traces({"duration": 3_000_000}, {"duration": 3_000_001, "trace_id": other}, {"duration": 7_000_000}))
    found = spans.flush(LATER)
    (duration,), (call,) = points_in(found, DURATION), points_in(found, CALLS)
    assert [(exemplar.trace_id, exemplar.as_double) for exemplar in duration.exemplars] == [
        (other, 3.000001),
        (TRACE, 7.0),
    ]
    assert [(exemplar.trace_id, exemplar.span_id) for exemplar in call.exemplars] == [(TRACE, SPAN)]
    assert call.exemplars[0].time_unix_nano == START - 100 * SECOND + 7_000_000
    assert not points_in(spans.flush(LATER), CALLS)[0].exemplars


def test_the_slowest_exemplars_are_kept() -> None:
    spans = connector(exemplars={"max_per_data_point": 2})
    spans.consume(traces(*({"duration": milliseconds * 10**6} for milliseconds in (900, 1, 5, 70))))
    (point,) = points_in(spans.flush(LATER), DURATION)
    assert [exemplar.as_double for exemplar in point.exemplars] == [70.0, 900.0]


def test_spans_without_a_trace_and_switched_off_exemplars_leave_none() -> None:
    for spans, given in ((connector(), {"trace_id": bytes(16)}), (connector(exemplars={"enabled": False}), {})):
        spans.consume(traces(given))
        assert not any(point.exemplars for name in (CALLS, DURATION) for point in points_in(spans.flush(LATER), name))


def test_events_are_counted_by_their_attributes() -> None:
    spans = connector(events={"enabled": True, "dimensions": [{"name": "exception.type"}]})
    events = [{"exception.type": "ValueError"}, {"exception.type": "ValueError"}, {}]
    spans.consume(traces({"events": events}, {}))
    found = {
        attributes_of(point).get("exception.type"): point.as_int for point in points_in(spans.flush(LATER), EVENTS)
    }
    assert found == {"ValueError": 2, None: 1}


def test_requests_are_of_a_size_that_a_receiver_takes() -> None:
    spans = connector()
    name = "n" * 2000
    spans.consume(traces(*({"name": f"{name}{number}"} for number in range(1500))))
    found = spans.flush(LATER)
    assert len(found) > 3
    assert max(len(derived.payload) for derived in found) < 1_200_000
    assert len(points_in(found, CALLS)) == len(points_in(found, DURATION)) == 1500
    for derived in found:
        assert derived.item_count == count_items(Signal.METRICS, parse_request(Signal.METRICS, derived.payload))
        assert derived.signal is Signal.METRICS


def test_a_clock_set_back_makes_no_interval_that_ends_before_it_begins() -> None:
    spans = connector()
    spans.consume(traces({}))
    (point,) = points_in(spans.flush(START - SECOND), CALLS)
    assert point.time_unix_nano == point.start_time_unix_nano == START


def test_a_state_of_other_buckets_is_refused() -> None:
    spans = connector()
    spans.consume(traces({}))
    with pytest.raises(ValueError, match="other settings"):
        connector(histogram={"explicit": {"buckets": ["1ms"]}}).restore(spans.state())


def test_a_state_survives_other_intervals_limits_and_exemplars() -> None:
    spans = connector()
    spans.consume(traces({"name": "a"}))
    other = connector(
        metrics_flush_interval="15s",
        metrics_expiration="5m",
        aggregation_cardinality_limit=5,
        exemplars={"enabled": False},
    )
    other.restore(spans.state())
    assert calls(other.flush(LATER)) == {"a": 1}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"dimensions": [{"name": "span.kind"}]}, "there already"),
        ({"dimensions": [{"name": "a"}, {"name": "a"}]}, "there already"),
        ({"dimensions": [{"name": "a"}], "calls_dimensions": [{"name": "a"}]}, "there already"),
        ({"histogram": {"explicit": {}, "exponential": {}}}, "exclude each other"),
        ({"histogram": {"explicit": {"buckets": ["2s", "1s"]}}}, "ascend"),
        ({"events": {"enabled": True}}, "at least one"),
        ({"exclude_dimensions": ["http.route"]}, "only default dimensions"),
        ({"metrics_flush_interval": "-1s"}, "greater than 0"),
        ({"aggregation_temporality": "delta"}, "AGGREGATION_TEMPORALITY_DELTA"),
        ({"aggregation_cardinality_limit": -1}, "greater than or equal to 0"),
    ],
)
def test_wrong_settings_are_refused_with_the_reason(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        SpanMetricsConfig.model_validate(config)


def test_flushes_come_as_often_as_configured() -> None:
    assert (connector().flush_interval, connector(metrics_flush_interval="15s").flush_interval) == (60.0, 15.0)
    assert factory.pairs == {(Signal.TRACES, Signal.METRICS)}


def test_other_resources_of_one_request_are_kept_apart() -> None:
    request = trace_request([{}])
    request.MergeFrom(trace_request([{}, {}], resource={"service.name": "cart"}))
    spans = connector()
    spans.consume(traces())
    spans.consume(batch_of(Signal.TRACES, request))
    found = {attributes_of(point)["service.name"]: point.as_int for point in points_in(spans.flush(LATER), CALLS)}
    assert found == {"shop": 1, "cart": 2}


def test_exemplars_of_durations_and_quiet_durations_are_forgotten() -> None:
    spans = connector(series_expiration="2m")
    spans.consume(traces({}))
    assert points_in(spans.flush(LATER), DURATION)[0].exemplars
    assert not points_in(spans.flush(LATER + 120 * SECOND), DURATION)[0].exemplars
    assert points_in(spans.flush(LATER + 121 * SECOND), DURATION) == []


def test_the_resources_seen_last_are_kept() -> None:
    spans = connector(resource_metrics_cache_size=2)
    for service in ("a", "b"):
        spans.consume(traces({}, resource={"service.name": service}))
    spans.flush(LATER)
    for service in ("a", "c"):
        spans.consume(traces({}, resource={"service.name": service}))
    spans.flush(LATER + 1)
    services = {attributes_of(point)["service.name"] for point in points_in(spans.flush(LATER + 2), CALLS)}
    assert services == {"a", "c"}


def test_an_attribute_given_twice_is_the_first() -> None:
    request = trace_request([{"attributes": {"env": "first"}}])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="env").value.string_value = "second"
    spans = connector(dimensions=[{"name": "env"}])
    spans.consume(batch_of(Signal.TRACES, request))
    assert [attributes_of(point)["env"] for point in points_in(spans.flush(LATER), CALLS)] == ["first"]
