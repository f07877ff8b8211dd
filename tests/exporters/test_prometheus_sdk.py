"""The same instruments through the OpenTelemetry SDK's own Prometheus exporter: every difference, and why it is one."""

from collections.abc import Iterable, Iterator

import pytest
from ganglion_exporters._prometheus.model import Point
from ganglion_exporters._prometheus.translate import TranslationSettings, Translator
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Meter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.exporters.golden_metrics import render

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "pod-1", "host.name": "h1"})

# What the SDK's exporter shows, what we show, and why we do not do the same.
DIFFERENCES: dict[str, tuple[set[str], set[str]]] = {
    "1 is a ratio on a gauge, as the Collector has it": (
        {"cpu_utilization{} 0.5"},
        {"cpu_utilization_ratio{} 0.5"},
    ),
    "TiBy are tebibytes (specification, table of units)": (
        {"disk_tibibytes{} 5"},
        {"disk_tebibytes{} 5"},
    ),
    "kBy are kilobytes (specification, table of units)": (
        {"ram_kBy{} 5"},
        {"ram_kilobytes{} 5"},
    ),
    "min is a minute after `per` too": (
        {"rate_per_min{} 5"},
        {"rate_per_minute{} 5"},
    ),
    "colliding labels are joined (specification, MUST); the SDK keeps one": (
        {"labels{a_b=2} 1"},
        {"labels{a_b=1;2} 1"},
    ),
    "a leading digit stays, after `key_`; the SDK replaces it": (
        {"labels{_xx=d} 2"},
        {"labels{key_2xx=d} 2"},
    ),
    "JSON without spaces, as the Collector writes it": (
        {'labels{list=["x", "y"]} 3'},
        {'labels{list=["x","y"]} 3'},
    ),
    "what job and instance say is not repeated (specification, Collector's exporters)": (
        {"target_info{host_name=h1,service_instance_id=pod-1,service_name=shop} 1"},
        {"target_info{host_name=h1} 1"},
    ),
}


class Both:
    """One SDK whose metrics go to its own Prometheus exporter and, as OTLP, to our translator."""

    def __init__(self, *views: View) -> None:
        self._registry = CollectorRegistry()
        self._otlp = InMemoryMetricReader()
        reader = PrometheusMetricReader(registry=self._registry)
        self.provider = MeterProvider([reader, self._otlp], RESOURCE, views=views)

    def sdk(self) -> list[Metric]:
        return list(self._registry.collect())

    def points(self) -> list[Point]:
        data = self._otlp.get_metrics_data()
        assert data is not None
        request = ExportMetricsServiceRequest.FromString(encode_metrics(data).SerializeToString())
        translated = Translator(TranslationSettings()).points(request)
        assert not translated.dropped
        return translated.points

    def ours(self) -> list[Metric]:
        text = render(point._replace(exemplars=()) for point in self.points())
        return list(text_string_to_metric_families(f"{text}\n"))


@pytest.fixture
def both() -> Iterator[Both]:
    both = Both()
    yield both
    both.provider.shutdown()


def lines(families: Iterable[Metric], *, without: tuple[str, ...]) -> set[str]:
    """Return a line for each sample; to Prometheus an empty label is none, and `le` a number however it is written."""
    result: set[str] = set()
    for sample in (sample for family in families for sample in family.samples):
        kept = {label: text for label, text in sample.labels.items() if text and not label.startswith(without)}
        if "le" in kept:
            kept["le"] = f"{float(kept['le'])}"
        labels = ",".join(f"{label}={text}" for label, text in sorted(kept.items()))
        result.add(f"{sample.name}{{{labels}}} {sample.value:g}")
    return result


def record(meter: Meter) -> None:
    requests = meter.create_counter("http.requests", "{request}", "Requests")
    requests.add(3, {"http.method": "GET", "http.status": 200})
    requests.add(1, {"http.method": "POST", "ok": True, "share": 1.0})
    meter.create_counter("network.io", "By").add(10)
    meter.create_counter("jobs.total", "1").add(10)
    meter.create_counter("io_total", "By").add(10)
    meter.create_up_down_counter("queue.length", "{item}").add(-2)
    meter.create_gauge("cpu.utilization", "1").set(0.5)
    for name, unit in (("speed", "m/s"), ("price", "USD"), ("annotated", "By{x}"), ("share", "%"), ("rate", "{a}/min")):
        meter.create_gauge(name, unit).set(5)
    for name, unit in (("bytes_used", "By"), ("used_bytes", "By"), ("disk", "TiBy"), ("ram", "kBy")):
        meter.create_gauge(name, unit).set(5)
    duration = meter.create_histogram("duration", "s", explicit_bucket_boundaries_advisory=[1, 5])
    for value in (0.5, 1, 7):
        duration.record(value, {"route": "/"})
    labels = meter.create_gauge("labels")
    labels.set(1, {"a.b": "1", "a_b": "2"})
    labels.set(2, {"2xx": "d"})
    labels.set(3, {"list": ["x", "y"]})
    labels.set(4, {"none": ""})


def test_only_the_listed_differences(both: Both) -> None:
    record(both.provider.get_meter("lib"))
    without = ("otel_scope_", "job", "instance")
    sdk, ours = lines(both.sdk(), without=without), lines(both.ours(), without=without)
    assert sdk - ours == set().union(*(theirs for theirs, _ in DIFFERENCES.values()))
    assert ours - sdk == set().union(*(own for _, own in DIFFERENCES.values()))
    assert len(sdk & ours) == 18


def test_scopes_are_shown_alike(both: Both) -> None:
    attributes = {"library.mascot": "bear", "name": "dropped by both"}
    both.provider.get_meter("lib", "1.2", "https://example.org/1", attributes).create_gauge("g").set(1)
    both.provider.get_meter("bare").create_gauge("h").set(2)
    without = ("job", "instance", "service_", "host_")
    assert lines(both.ours(), without=without) == lines(both.sdk(), without=without)


def test_one_metric_in_unlike_scopes_is_right_in_ours_alone(both: Both) -> None:
    """The SDK's exporter gives the second scope's values the first scope's label names, in their order."""
    both.provider.get_meter("a", attributes={"mascot": "bear"}).create_gauge("g").set(1)
    both.provider.get_meter("b").create_gauge("g").set(2)
    wrong = {"g{otel_scope_mascot=b} 2"}
    right = {"g{otel_scope_name=b} 2"}
    without = ("job", "instance", "service_", "host_")
    sdk, ours = lines(both.sdk(), without=without), lines(both.ours(), without=without)
    assert (sdk - ours, ours - sdk) == (wrong, right)


def test_every_series_of_ours_names_its_job_and_instance(both: Both) -> None:
    """The SDK's exporter has one target, which the scraper names; ours has many."""
    record(both.provider.get_meter("lib"))
    ours, sdk = (
        [sample.labels for family in shown for sample in family.samples] for shown in (both.ours(), both.sdk())
    )
    assert {(labels["job"], labels["instance"]) for labels in ours} == {("shop", "pod-1")}
    assert not any({"job", "instance"} & set(labels) for labels in sdk)


def test_types_and_descriptions_are_the_same(both: Both) -> None:
    record(both.provider.get_meter("lib"))
    sdk, ours = (
        {family.name: (family.type, family.documentation) for family in shown} for shown in (both.sdk(), both.ours())
    )
    names = (sdk.keys() & ours.keys()) - {"target"}
    assert {name: sdk[name] for name in names} == {name: ours[name] for name in names}
    assert ours["http_requests"] == ("counter", "Requests")


def test_exemplars_are_in_ours_alone(both: Both) -> None:
    """The SDK's exporter leaves them out in every format."""
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        both.provider.get_meter("lib").create_counter("c").add(1)
    trace_id = f"{span.get_span_context().trace_id:032x}"
    counter, _ = both.points()
    assert [dict(exemplar.labels)["trace_id"] for exemplar in counter.exemplars] == [trace_id]


def test_exponential_histograms_are_in_ours_alone() -> None:
    """In the SDK's exporter one such histogram ends the whole scrape."""
    both = Both(View(instrument_name="h", aggregation=ExponentialBucketHistogramAggregation()))
    both.provider.get_meter("lib").create_histogram("h").record(5)
    with pytest.raises(AttributeError):
        both.sdk()
    histogram, _ = both.points()
    assert histogram.family.kind == "histogram"
    both.provider.shutdown()
