"""OTLP metrics as points of Prometheus: golden cases, times, hostile input, bounded memory."""

import tracemalloc
from collections import Counter
from collections.abc import Mapping
from time import process_time
from typing import Any

import pytest
from ganglion_collector.metric_values import Histogram
from ganglion_exporters._prometheus.model import Labels, Point, Temporality
from ganglion_exporters._prometheus.recent import Recent
from ganglion_exporters._prometheus.translate import TranslationSettings, Translator
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.exporters.golden_metrics import golden_cases, render, request_of

CASES = dict(golden_cases())


def settings_of(case: Mapping[str, Any]) -> TranslationSettings:
    plain = dict(case.get("settings", {}))
    for name in ("resource_included", "resource_excluded"):
        plain[name] = tuple(plain.get(name, ()))
    return TranslationSettings(**plain)


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    case = CASES[name]
    translator = Translator(settings_of(case))
    request = request_of(case)
    for _ in ("new", "known"):
        points, dropped = translator.points(request)
        assert render(points) == case["text"].strip()
        assert dropped == Counter(case.get("dropped", {}))


def test_every_rule_has_a_golden_case() -> None:
    # F7, F22 and F24 to F27 are of what is exposed, F8 but for `namespace` too.
    rules = {str(case["rule"]) for case in CASES.values()}
    assert rules == {f"F{number}" for number in (*range(1, 7), *range(8, 22), 23)}


def gauge(count: int = 1, **fields: Any) -> dict[str, Any]:
    return {"name": "g", "gauge": {"data_points": [{"as_int": number, **fields} for number in range(count)]}}


def points_of(metric: Mapping[str, Any], translator: Translator | None = None, **case: Any) -> list[Point]:
    translator = translator or Translator(TranslationSettings())
    return translator.points(request_of({"metrics": [metric], **case})).points


@pytest.mark.parametrize(
    ("metric", "temporality", "start"),
    [
        (gauge(start_time_unix_nano=5, time_unix_nano=9), Temporality.UNSPECIFIED, 0),
        ({"name": "s", "sum": {"aggregation_temporality": 2, "data_points": [
            {"as_int": 1, "start_time_unix_nano": 5, "time_unix_nano": 9}]}}, Temporality.UNSPECIFIED, 0),
        ({"name": "s", "sum": {"is_monotonic": True, "aggregation_temporality": 1, "data_points": [
            {"as_int": 1, "start_time_unix_nano": 5, "time_unix_nano": 9}]}}, Temporality.DELTA, 5),
        ({"name": "s", "histogram": {"aggregation_temporality": 2, "data_points": [
            {"count": 1, "start_time_unix_nano": 5, "time_unix_nano": 9}]}}, Temporality.CUMULATIVE, 5),
        ({"name": "s", "summary": {"data_points": [
            {"count": 1, "start_time_unix_nano": 5, "time_unix_nano": 9}]}}, Temporality.CUMULATIVE, 5),
    ],
    ids=["gauge", "up-down", "delta", "histogram", "summary"],
)  # fmt: skip
def test_times_of_a_point(metric: Mapping[str, Any], temporality: Temporality, start: int) -> None:
    (point,) = points_of(metric)
    assert (point.temporality, point.start, point.time) == (temporality, start, 9)


def test_a_description_has_the_time_of_the_latest_point() -> None:
    metrics = [gauge(time_unix_nano=7), gauge(time_unix_nano=9), gauge(time_unix_nano=8)]
    translator = Translator(TranslationSettings())
    request = request_of({"resource": {"service.name": "a"}, "metrics": metrics})
    *_, info = translator.points(request).points
    assert info.family is translator.target_info
    assert (info.time, info.start, info.value) == (9, 0, 1.0)


def test_a_resource_of_which_nothing_is_left_is_not_described() -> None:
    case = {"resource": {"service.name": "a"}, "metrics": [{**gauge(), "name": ""}]}
    translated = Translator(TranslationSettings()).points(request_of(case))
    assert translated == ([], {"invalid_name": 1})


def test_an_empty_request_has_no_points() -> None:
    translator = Translator(TranslationSettings())
    assert translator.points(ExportMetricsServiceRequest()) == ([], {})
    assert translator.points(request_of({"metrics": [{"name": "no data"}, {"name": "g", "gauge": {}}]})) == ([], {})


def test_labels_and_families_of_a_known_series_are_the_same_objects() -> None:
    translator = Translator(TranslationSettings())
    first, second = (points_of(gauge(attributes={"a": "b"}), translator)[0] for _ in range(2))
    assert first.labels is second.labels
    assert first.family is second.family


def test_attributes_that_differ_in_type_alone_or_in_order_are_told_apart_as_prometheus_does() -> None:
    translator = Translator(TranslationSettings())
    values = [True, "true", 1, "1", 1.0]
    labels = [dict(points_of(gauge(attributes={"a": value}), translator)[0].labels)["a"] for value in values]
    assert labels == ["true", "true", "1", "1", "1.0"]
    one, other = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert points_of(gauge(attributes=one), translator)[0].labels == points_of(gauge(attributes=other))[0].labels


def test_equal_attributes_of_other_scopes_and_resources_are_other_series() -> None:
    translator = Translator(TranslationSettings())
    labels = {
        points_of(gauge(), translator, scope={"name": scope}, resource={"service.name": service})[0].labels
        for scope in ("s1", "s2")
        for service in ("r1", "r2")
    }
    assert len(labels) == 4


def test_ten_thousand_attributes_of_one_point() -> None:
    attributes = {f"key.{number}": "v" * 100 for number in range(10_000)}
    (point,) = points_of(gauge(attributes=attributes))
    assert len(point.labels) == 10_002


def test_a_huge_value_is_translated_and_not_remembered() -> None:
    translator = Translator(TranslationSettings())
    huge = "x" * 10_000_000
    first, second = (points_of(gauge(attributes={"a": huge}), translator)[0].labels for _ in range(2))
    assert dict(first)["a"] == huge
    assert first == second
    assert first is not second


def test_bad_points_leave_their_neighbours_alone() -> None:
    bad = {"count": 1, "explicit_bounds": [2, 1], "bucket_counts": [1, 0, 0]}
    good = {"count": 1, "explicit_bounds": [1, 2], "bucket_counts": [1, 0, 0]}
    metric = {"name": "h", "histogram": {"aggregation_temporality": 2, "data_points": [good, bad, good]}}
    translated = Translator(TranslationSettings()).points(request_of({"metrics": [metric]}))
    assert len(translated.points) == 2
    assert translated.dropped == {"invalid_buckets": 1}


def test_series_share_the_objects_that_are_most_of_their_memory() -> None:
    data_point = {"count": 1, "explicit_bounds": [1, 2], "bucket_counts": [1, 0, 0]}
    data_points = [{**data_point, "attributes": {"route": route, "shared": "yes"}} for route in ("/a", "/b")]
    first, second = points_of({"name": "h", "histogram": {"aggregation_temporality": 2, "data_points": data_points}})
    assert isinstance(first.value, Histogram)
    assert isinstance(second.value, Histogram)
    assert first.value.bounds is second.value.bounds
    assert [one is other for one, other in zip(first.labels, second.labels, strict=True)] == [True, True, False, True]


def test_ever_new_series_do_not_grow_memory() -> None:
    translator = Translator(TranslationSettings())
    padding = "x" * 20_000
    tracemalloc.start()
    try:
        for number in range(8_000):
            points_of(gauge(attributes={"id": f"{number}{padding}"}), translator)
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 2 * 64 * 1024 * 1024 < 8_000 * len(padding)


def test_what_is_used_stays_when_much_that_is_used_once_goes_by() -> None:
    recent = Recent[str, int](1000, len)
    recent.put("a" * 10, 1)
    for number in range(1000):
        recent.put(f"{number:010}", number)
        assert recent.get("a" * 10) == 1
    assert len(recent) <= 200
    assert recent.get(f"{0:010}") is None


def test_what_is_too_heavy_is_not_kept() -> None:
    recent = Recent[str, int](1000, len)
    recent.put("a" * 101, 1)
    assert recent.get("a" * 101) is None
    assert len(recent) == 0


def test_attributes_that_are_the_same_bytes_in_a_row_are_told_apart() -> None:
    whole = [KeyValue(key="a", value=AnyValue(string_value="x"))]
    torn = [KeyValue(key="a"), KeyValue(value=AnyValue(string_value="x"))]
    translator = Translator(TranslationSettings())
    labels: list[Labels] = []
    for attributes in (whole, torn):
        request = request_of({"metrics": [gauge()]})
        request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0].attributes.extend(attributes)
        labels.append(translator.points(request).points[0].labels)
    assert labels == [
        (("a", "x"), ("instance", ""), ("job", "")),
        (("_", "x"), ("instance", ""), ("job", "")),
    ]


def test_metrics_that_differ_in_anything_are_told_apart() -> None:
    translator = Translator(TranslationSettings())
    point = {"data_points": [{"as_int": 1}]}
    metrics: list[dict[str, Any]] = [
        {"gauge": point},
        {"gauge": point, "unit": "1"},
        {"gauge": point, "unit": "s"},
        {"gauge": point, "description": "other"},
        {"sum": {"aggregation_temporality": 2, **point}, "unit": "1"},
        {"sum": {"aggregation_temporality": 2, "is_monotonic": True, **point}},
    ]
    families = [points_of({"name": "m", **metric}, translator)[0].family for metric in metrics]
    assert families == [
        ("m", "gauge", "", ""),
        ("m_ratio", "gauge", "", "ratio"),
        ("m_seconds", "gauge", "", "seconds"),
        ("m", "gauge", "other", ""),
        ("m", "gauge", "", ""),
        ("m_total", "counter", "", ""),
    ]


def test_scopes_that_differ_in_anything_are_told_apart() -> None:
    translator = Translator(TranslationSettings())
    scopes: list[dict[str, Any]] = [{key: "a"} for key in ("name", "version", "schema_url")]
    scopes += [{"schema_url": "b"}, {"attributes": {"k": "a"}}]
    labels = [points_of(gauge(), translator, scope=scope)[0].labels[2] for scope in scopes]
    assert labels == [
        ("otel_scope_name", "a"),
        ("otel_scope_version", "a"),
        ("otel_scope_schema_url", "a"),
        ("otel_scope_schema_url", "b"),
        ("otel_scope_k", "a"),
    ]


def test_many_attributes_of_one_label_are_joined_in_no_time() -> None:
    request = request_of({"metrics": [gauge()]})
    (point,) = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    point.attributes.extend(
        KeyValue(key=chr(0x4E00 + n), value=AnyValue(string_value="x" * 500)) for n in range(20_000)
    )
    began = process_time()
    (translated,) = Translator(TranslationSettings()).points(request).points
    assert process_time() - began < 2
    assert len(dict(translated.labels)["_"]) == 20_000 * 501 - 1
