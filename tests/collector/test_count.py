from typing import Any

import pytest
from ganglion_collector.component import Signal
from ganglion_collector.connectors.count import CountConfig, CountConnector, factory
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from pydantic import ValidationError

from tests.collector.deriving import (
    SECOND,
    START,
    attributes_of,
    batch_of,
    metric_request,
    metrics_in,
    payload_requests,
    points_in,
    set_attributes,
    trace_request,
    traces,
)

NOW = START + SECOND


def connector(**config: Any) -> CountConnector:
    return CountConnector(CountConfig.model_validate(config))


def logs(*severities: int) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for severity in severities:
        set_attributes(scope.log_records.add(severity_number=severity), {"env": "prod" if severity > 9 else "test"})
    return request


def totals(found: Any) -> dict[str, int]:
    return {metric.name: sum(point.as_int for point in metric.sum.data_points) for metric in metrics_in(found)}


def test_everything_is_counted_by_the_collectors_names() -> None:
    count = connector()
    count.consume(traces({"events": [{}, {}]}, {}))
    count.consume(batch_of(Signal.LOGS, logs(9, 17, 17)))
    count.consume(batch_of(Signal.METRICS, metric_request("gauge", {"as_int": 1}, {"as_int": 2}, temporality=0)))
    assert totals(count.flush(NOW)) == {
        "trace.span.count": 2,
        "trace.span.event.count": 2,
        "log.record.count": 3,
        "metric.count": 1,
        "metric.datapoint.count": 2,
    }


def test_counts_are_deltas_since_the_flush_before() -> None:
    count = connector()
    count.consume(traces({}, {}))
    first = count.flush(NOW)
    assert count.flush(NOW + 1) == []
    count.consume(traces({}, received_at=NOW + 2))
    second = count.flush(NOW + 3)
    (metric,) = metrics_in(first)
    assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, 1)
    spans = [
        (point.start_time_unix_nano, point.time_unix_nano, point.as_int)
        for found in (first, second)
        for point in points_in(found, "trace.span.count")
    ]
    assert spans == [(START, NOW, 2), (NOW, NOW + 3, 1)]


def test_counts_keep_their_resource() -> None:
    count = connector()
    request = trace_request([{}])
    request.MergeFrom(trace_request([{}, {}], resource={"service.name": "cart"}))
    count.consume(batch_of(Signal.TRACES, request))
    (found,) = payload_requests(count.flush(NOW))
    counted = {
        attributes_of(resource.resource)["service.name"]: resource.scope_metrics[0].metrics[0].sum.data_points[0].as_int
        for resource in found.resource_metrics
    }
    assert counted == {"shop": 1, "cart": 2}
    assert found.resource_metrics[0].scope_metrics[0].scope.name == "otelcol/countconnector"


def test_any_condition_counts() -> None:
    conditions = ["severity_number >= SEVERITY_NUMBER_ERROR", 'attributes["env"] == "test"']
    count = connector(logs={"odd.logs": {"description": "Odd ones.", "conditions": conditions}})
    count.consume(batch_of(Signal.LOGS, logs(9, 13, 17)))
    (metric,) = metrics_in(count.flush(NOW))
    assert (metric.name, metric.description, metric.sum.data_points[0].as_int) == ("odd.logs", "Odd ones.", 2)


def test_what_meets_no_condition_gives_no_metric() -> None:
    count = connector(logs={"none": {"conditions": ['severity_text == "x"']}})
    count.consume(batch_of(Signal.LOGS, logs(9)))
    assert count.flush(NOW) == []


def test_counts_are_told_apart_by_attributes() -> None:
    attributes = [{"key": "env", "default_value": "unknown"}, {"key": "service.name"}]
    count = connector(spans={"spans": {"attributes": attributes}})
    count.consume(traces({"attributes": {"env": "prod"}}, {"attributes": {"env": "prod"}}, {}))
    found = [(attributes_of(point), point.as_int) for point in points_in(count.flush(NOW), "spans")]
    assert found == [
        ({"env": "prod", "service.name": "shop"}, 2),
        ({"env": "unknown", "service.name": "shop"}, 1),
    ]


def test_items_without_a_wanted_attribute_are_not_counted() -> None:
    count = connector(spans={"spans": {"attributes": [{"key": "env"}]}})
    count.consume(traces({"attributes": {"env": "prod"}}, {}))
    assert totals(count.flush(NOW)) == {"spans": 1}


@pytest.mark.parametrize("value", ["x", "", 5, 0, 1.5, True, False])
def test_a_default_keeps_its_type(value: object) -> None:
    count = connector(spans={"spans": {"attributes": [{"key": "env", "default_value": value}]}})
    count.consume(traces({}))
    (point,) = points_in(count.flush(NOW), "spans")
    found = attributes_of(point)["env"]
    assert (found, type(found)) == (value, type(value))


def test_data_points_are_counted_by_their_metric() -> None:
    count = connector(datapoints={"points": {"conditions": ['metric.name == "m"']}}, metrics={})
    for name in ("m", "other"):
        count.consume(batch_of(Signal.METRICS, metric_request("sum", {"as_int": 1}, temporality=2, name=name)))
    assert totals(count.flush(NOW)) == {"points": 1}


def test_one_name_for_two_kinds_is_two_metrics() -> None:
    count = connector(spans={"all": {}}, logs={"all": {}})
    count.consume(traces({"events": []}))
    count.consume(batch_of(Signal.LOGS, logs(9, 9)))
    assert [point.as_int for point in points_in(count.flush(NOW), "all")] == [1, 2]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"logs": {"a": {"conditions": ["colour == 1"]}}}, "a: condition colour == 1: colour is no field of a log"),
        ({"spans": {"a": {"conditions": ["Len(name) > 1"]}}}, "Len is not supported"),
        ({"metrics": {"a": {"attributes": [{"key": "env"}]}}}, "metrics have no attributes"),
        ({"spans": {"": {}}}, "no name"),
        ({"spans": {"a": {"attributes": [{"key": ""}]}}}, "at least 1 character"),
    ],
)
def test_wrong_settings_are_refused_with_the_reason(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        CountConfig.model_validate(config)


def test_every_signal_becomes_metrics() -> None:
    assert factory.pairs == {(signal, Signal.METRICS) for signal in Signal}
    assert connector().flush_interval == 1.0
