"""The remote write exporter against a server that reads what it sends, and against Prometheus."""

import asyncio
import logging
import math
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import cramjam
import pytest
from ganglion_collector.component import Batch, Signal
from ganglion_collector.errors import PartialSuccess, PermanentError, RetryableError
from ganglion_collector.testing import Answer, OTLPSink, Received, make_batch
from ganglion_exporters._prometheus.model import Exemplar, Family, Labels
from ganglion_exporters.prometheusremotewrite import (
    PrometheusRemoteWriteConfig,
    PrometheusRemoteWriteExporter,
)
from ganglion_exporters.prometheusremotewrite.requests import requests
from ganglion_exporters.prometheusremotewrite.series import TimeSeries
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from prometheus_client import REGISTRY
from pydantic import ValidationError

from tests.exporters.prometheus_messages import read_write_request, read_write_request_2
from tests.fix_prometheus import MakePrometheus, RunningPrometheus

S = 10**9
NOW = time.time_ns() // S * S
SHORTLY = NOW // S + 5
"""Unix seconds at which Prometheus is asked: the tests may run long after they were collected."""
DELTA, CUMULATIVE = 1, 2
NO_RECORDED_VALUE = 1
STALE = 0x7FF0_0000_0000_0002
VERSION_2 = {"protobuf_message": "io.prometheus.write.v2.Request"}
WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"
TRACE_ID, SPAN_ID = bytes(range(16)), bytes(range(8))


def attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def counter(*values: float, at: int = NOW, name: str = "jobs", temporality: int = CUMULATIVE) -> otlp.Metric:
    points = [
        otlp.NumberDataPoint(
            as_double=value,
            start_time_unix_nano=NOW - 60 * S,
            time_unix_nano=at + place * S,
            exemplars=[otlp.Exemplar(as_double=value, time_unix_nano=at, trace_id=TRACE_ID, span_id=SPAN_ID)],
        )
        for place, value in enumerate(values)
    ]
    temporal: Any = temporality
    data = otlp.Sum(data_points=points, aggregation_temporality=temporal, is_monotonic=True)
    return otlp.Metric(name=name, description="Jobs done.", sum=data)


def histogram() -> otlp.Metric:
    point = otlp.HistogramDataPoint(
        time_unix_nano=NOW, count=6, sum=4.5, explicit_bounds=[0.5, 1.0], bucket_counts=[1, 2, 3]
    )
    data = otlp.Histogram(data_points=[point], aggregation_temporality=otlp.AGGREGATION_TEMPORALITY_CUMULATIVE)
    return otlp.Metric(name="wait", unit="s", histogram=data)


def exponential() -> otlp.Metric:
    point = otlp.ExponentialHistogramDataPoint(time_unix_nano=NOW, count=6, sum=9.0, scale=0, zero_count=1)
    point.positive.offset = 0
    point.positive.bucket_counts.extend([2, 3])
    data = otlp.ExponentialHistogram(
        data_points=[point], aggregation_temporality=otlp.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    return otlp.Metric(name="size", unit="By", exponential_histogram=data)


def summary() -> otlp.Metric:
    point = otlp.SummaryDataPoint(time_unix_nano=NOW, count=3, sum=1.5)
    point.quantile_values.add(quantile=0.5, value=0.25)
    return otlp.Metric(name="rpc", summary=otlp.Summary(data_points=[point]))


def gauge(value: float, at: int = NOW, flags: int = 0) -> otlp.Metric:
    point = otlp.NumberDataPoint(as_double=value, time_unix_nano=at, flags=flags)
    return otlp.Metric(name="depth", gauge=otlp.Gauge(data_points=[point]))


def batch(*metrics: otlp.Metric) -> Batch:
    resource = Resource(attributes=[attribute("service.name", "shop"), attribute("host.name", "h1")])
    scope = otlp.ScopeMetrics(scope=InstrumentationScope(name="tests"), metrics=metrics)
    body = otlp.ResourceMetrics(resource=resource, scope_metrics=[scope])
    return make_batch(ExportMetricsServiceRequest(resource_metrics=[body]), signal=Signal.METRICS)


@asynccontextmanager
async def exporting(endpoint: str, **config: Any) -> AsyncIterator[PrometheusRemoteWriteExporter]:
    model = PrometheusRemoteWriteConfig.model_validate({"endpoint": f"{endpoint}/api/v1/write", **config})
    exporter = PrometheusRemoteWriteExporter(model)
    await exporter.start()
    try:
        yield exporter
    finally:
        await exporter.shutdown()


def message(request: Received) -> Any:
    return read_write_request(bytes(cramjam.snappy.decompress_raw(request.body)))


def message_2(request: Received) -> Any:
    return read_write_request_2(bytes(cramjam.snappy.decompress_raw(request.body)))


def named(request: Received) -> dict[str, Any]:
    """Return the series of a request of protocol 1.0 by name and, where they have one, bound or quantile."""
    found: dict[str, Any] = {}
    for series in message(request).timeseries:
        labels = {label.name: label.value for label in series.labels}
        assert list(labels) == sorted(labels)
        key = labels["__name__"] + "".join(f" {labels[name]}" for name in ("le", "quantile") if name in labels)
        assert key not in found
        found[key] = series
    return found


def written(sent: Received) -> Answer:
    """Answer as a receiver of protocol 2.0 that has stored everything."""
    series = message_2(sent).timeseries
    samples, histograms = sum(len(one.samples) for one in series), sum(len(one.histograms) for one in series)
    return Answer(http_headers={WRITTEN: str(samples), WRITTEN.replace("Samples", "Histograms"): str(histograms)})


async def test_every_kind_becomes_its_series() -> None:
    async with OTLPSink() as sink, exporting(sink.http_endpoint) as exporter:
        assert await exporter.export(batch(counter(3), gauge(2), histogram(), exponential(), summary())) is None
    (request,) = sink.requests
    found = named(request)
    values = {name: [sample.value for sample in series.samples] for name, series in found.items()}
    assert values == {
        "jobs_total": [3],
        "depth": [2],
        "wait_seconds_bucket 0.5": [1],
        "wait_seconds_bucket 1.0": [3],
        "wait_seconds_bucket +Inf": [6],
        "wait_seconds_count": [6],
        "wait_seconds_sum": [4.5],
        "size_bytes": [],
        "rpc 0.5": [0.25],
        "rpc_count": [3],
        "rpc_sum": [1.5],
        "target_info": [1],
    }
    (native,) = found["size_bytes"].histograms
    assert (native.count_int, native.sum, native.schema, native.zero_count_int) == (6, 9.0, 0, 1)
    assert [(span.offset, span.length) for span in native.positive_spans] == [(1, 2)]
    assert (list(native.positive_deltas), native.timestamp) == ([2, 1], NOW // 1_000_000)
    (exemplar,) = found["jobs_total"].exemplars
    assert {label.name: label.value for label in exemplar.labels} == {
        "trace_id": TRACE_ID.hex(),
        "span_id": SPAN_ID.hex(),
    }
    assert (exemplar.value, exemplar.timestamp) == (3, NOW // 1_000_000)
    assert not message(request).metadata


async def test_requests_carry_the_headers_of_the_protocol() -> None:
    headers = {"Authorization": "Bearer s3cret"}
    async with OTLPSink() as sink, exporting(sink.http_endpoint, headers=headers) as exporter:
        await exporter.export(batch(counter(1)))
    (request,) = sink.requests
    assert request.path == "/api/v1/write"
    assert {name: request.headers[name] for name in ("content-encoding", "content-type", "authorization")} == {
        "content-encoding": "snappy",
        "content-type": "application/x-protobuf",
        "authorization": "Bearer s3cret",
    }
    assert request.headers["x-prometheus-remote-write-version"] == "0.1.0"
    assert request.headers["user-agent"].startswith("Ganglion/")


async def test_samples_of_a_series_are_sorted_and_times_stand_once() -> None:
    late, early = counter(5, 6, at=NOW + 10 * S), counter(1, 2, at=NOW)
    async with OTLPSink() as sink, exporting(sink.http_endpoint) as exporter:
        await exporter.export(batch(late, early, counter(3, at=NOW + S)))
    samples = named(sink.requests[0])["jobs_total"].samples
    expected = [(0, 1), (1, 3), (10, 5), (11, 6)]
    assert [(sample.timestamp - NOW // 1_000_000, sample.value) for sample in samples] == [
        (second * 1000, value) for second, value in expected
    ]


async def test_requests_stay_below_the_limit_and_lose_nothing() -> None:
    metrics = [counter(1, name=f"jobs_{place}") for place in range(200)]
    async with OTLPSink() as sink, exporting(sink.http_endpoint, max_batch_size_bytes=4000) as exporter:
        await exporter.export(batch(*metrics))
    sizes = [len(cramjam.snappy.decompress_raw(request.body)) for request in sink.requests]
    assert len(sizes) > 5
    assert max(sizes) <= 4000
    names = [name for request in sink.requests for name in named(request)]
    assert names == [*(f"jobs_{place}_total" for place in range(200)), "target_info"]


@pytest.mark.parametrize("version_2", [False, True], ids=["1.0", "2.0"])
def test_limits_count_what_stands_beside_the_series(*, version_2: bool) -> None:
    series = [
        TimeSeries(Family(f"m{n}", "gauge", "h" * 50, ""), (("__name__", f"m{n}"), ("v", f"{n}" * 20)), 0, {1: 1.0})
        for n in range(100)
    ]
    made = list(requests(series, version_2=version_2, metadata=True, most_bytes=2000))
    assert sum(request.samples for request in made) == 100
    assert max(len(request.body) for request in made) <= 2000
    (alone,) = requests(series[:1], version_2=version_2, metadata=True, most_bytes=1)
    assert alone.samples == 1


def dropped_deltas() -> float:
    name = "ganglion_prometheusremotewrite_dropped_points_total"
    return REGISTRY.get_sample_value(name, {"reason": "delta"}) or 0.0


async def test_deltas_are_left_out_counted_and_explained(caplog: pytest.LogCaptureFixture) -> None:
    before = dropped_deltas()
    async with OTLPSink() as sink, exporting(sink.http_endpoint) as exporter:
        for _ in range(2):
            await exporter.export(batch(counter(1, 2, temporality=DELTA), gauge(1)))
    assert dropped_deltas() - before == 4
    assert set(named(sink.requests[0])) == {"depth", "target_info"}
    assert [record.levelno for record in caplog.records if "deltatocumulative" in record.message] == [logging.WARNING]


async def test_an_ended_series_gets_the_stale_marker() -> None:
    async with OTLPSink() as sink, exporting(sink.http_endpoint) as exporter:
        await exporter.export(batch(gauge(0, flags=NO_RECORDED_VALUE)))
    body = bytes(cramjam.snappy.decompress_raw(sink.requests[0].body))
    (sample,) = named(sink.requests[0])["depth"].samples
    assert math.isnan(sample.value)
    assert struct.pack("<Q", STALE) in body


async def test_options_add_labels_metadata_and_start_times() -> None:
    options = {
        "external_labels": {"cluster": "c1"},
        "namespace": "acme",
        "send_metadata": True,
        "export_created_metric": {"enabled": True},
        "target_info": {"enabled": False},
        "resource_to_telemetry_conversion": {"enabled": True},
        "disable_scope_info": True,
    }
    async with OTLPSink() as sink, exporting(sink.http_endpoint, **options) as exporter:
        await exporter.export(batch(counter(3)))
    (request,) = sink.requests
    found = named(request)
    assert {label.name: label.value for label in found["acme_jobs_total"].labels if label.value} == {
        "__name__": "acme_jobs_total",
        "cluster": "c1",
        "host_name": "h1",
        "job": "shop",
        "service_name": "shop",
    }
    assert [sample.value for sample in found["acme_jobs_created"].samples] == [NOW / S - 60]
    (about,) = message(request).metadata
    assert (about.metric_family_name, about.type, about.help) == ("acme_jobs_total", 1, "Jobs done.")
    assert "target_info" not in found


async def test_protocol_2_has_symbols_metadata_and_start_times() -> None:
    async with OTLPSink(written) as sink, exporting(sink.http_endpoint, **VERSION_2) as exporter:
        assert await exporter.export(batch(counter(3), exponential())) is None
    (request,) = sink.requests
    assert request.headers["content-type"] == "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    assert request.headers["x-prometheus-remote-write-version"] == "2.0.0"
    made = message_2(request)
    symbols = list(made.symbols)
    assert symbols[0] == ""
    assert len(symbols) == len(set(symbols))

    def labels(refs: Sequence[int]) -> dict[str, str]:
        texts = [symbols[ref] for ref in refs]
        return dict(zip(texts[::2], texts[1::2], strict=True))

    jobs, size, _ = made.timeseries
    assert labels(jobs.labels_refs)["__name__"] == "jobs_total"
    assert labels(jobs.exemplars[0].labels_refs)["trace_id"] == TRACE_ID.hex()
    assert (jobs.metadata.type, symbols[jobs.metadata.help_ref]) == (1, "Jobs done.")
    assert jobs.created_timestamp == NOW // 1_000_000 - 60_000
    assert (size.metadata.type, symbols[size.metadata.unit_ref], size.histograms[0].count_int) == (3, "bytes", 6)


async def test_what_goes_up_and_down_has_no_start_time() -> None:
    point = otlp.NumberDataPoint(as_double=1, start_time_unix_nano=NOW - S, time_unix_nano=NOW)
    data = otlp.Sum(data_points=[point], aggregation_temporality=otlp.AGGREGATION_TEMPORALITY_CUMULATIVE)
    config = {**VERSION_2, "export_created_metric": {"enabled": True}}
    async with OTLPSink(written) as sink, exporting(sink.http_endpoint, **config) as exporter:
        await exporter.export(batch(otlp.Metric(name="queue", sum=data)))
    assert [series.created_timestamp for series in message_2(sink.requests[0]).timeseries] == [0, 0]


async def test_protocol_2_believes_what_the_receiver_has_written() -> None:
    answer = Answer(http_headers={WRITTEN: "1"})
    async with OTLPSink(answer) as sink, exporting(sink.http_endpoint, **VERSION_2) as exporter:
        result = await exporter.export(batch(counter(1), gauge(2)))
    assert result == PartialSuccess(2, "2 of 3 samples were not written")


async def test_a_receiver_of_protocol_1_that_takes_protocol_2_for_nothing_is_found_out() -> None:
    async with OTLPSink() as sink, exporting(sink.http_endpoint, **VERSION_2) as exporter:
        with pytest.raises(PermanentError, match=r"protobuf_message: prometheus\.WriteRequest") as caught:
            await exporter.export(batch(counter(1)))
    assert not caught.value.divisible


@pytest.mark.parametrize(("status", "retry_after"), [(429, 7.0), (500, None), (503, 7.0), (504, None)])
async def test_overload_and_faults_are_tried_again(status: int, retry_after: float | None) -> None:
    headers = {"Retry-After": "7"} if retry_after else {}
    answer = Answer(http_status=status, http_headers=headers)
    async with OTLPSink(answer) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(RetryableError) as caught:
            await exporter.export(batch(counter(1)))
    assert caught.value.retry_after == retry_after


@pytest.mark.parametrize(
    ("status", "divisible"), [(400, True), (413, True), (422, True), (401, False), (404, False), (302, False)]
)
async def test_other_refusals_are_final(status: int, divisible: bool) -> None:
    answer = Answer(http_status=status, body=b"label name too long")
    async with OTLPSink(answer) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(PermanentError, match=f"HTTP {status}: label name too long") as caught:
            await exporter.export(batch(counter(1)))
    assert caught.value.divisible is divisible


@pytest.mark.parametrize(
    ("config", "advice"),
    [({}, "io.prometheus.write.v2.Request"), (VERSION_2, "prometheus.WriteRequest")],
    ids=["1.0", "2.0"],
)
async def test_a_message_that_is_not_taken_names_the_setting(config: dict[str, str], advice: str) -> None:
    async with OTLPSink(Answer(http_status=415)) as sink, exporting(sink.http_endpoint, **config) as exporter:
        with pytest.raises(PermanentError, match=f"set protobuf_message: {advice}"):
            await exporter.export(batch(counter(1)))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, b"out of order sample"),
        (400, b"duplicate sample for timestamp"),
        (400, b"out of bounds"),
        (400, b"failed pushing: the sample has been rejected because another sample (err-mimir-sample-out-of-order)"),
        (409, b"store locally: conflict"),
    ],
)
async def test_samples_that_are_no_news_end_in_no_dead_letter(status: int, text: bytes) -> None:
    async with OTLPSink(Answer(http_status=status, body=text)) as sink, exporting(sink.http_endpoint) as exporter:
        result = await exporter.export(batch(counter(1)))
    assert result == PartialSuccess(0, f"HTTP {status}: {text.decode()}")


async def test_labels_in_a_refusal_are_not_repeated() -> None:
    answer = Answer(http_status=400, body=b'label value too long, series: {user="jane@example.org"}')
    async with OTLPSink(answer) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(PermanentError) as caught:
            await exporter.export(batch(counter(1)))
    assert str(caught.value) == "HTTP 400: label value too long, series: {…}"


async def test_a_later_request_goes_out_after_one_that_was_no_news() -> None:
    async with OTLPSink() as sink, exporting(sink.http_endpoint, max_batch_size_bytes=1) as exporter:
        sink.answers.append(Answer(http_status=400, body=b"out of order sample"))
        assert await exporter.export(batch(counter(1), gauge(1))) == PartialSuccess(0, "HTTP 400: out of order sample")
    assert [list(named(request)) for request in sink.requests] == [["jobs_total"], ["depth"], ["target_info"]]


async def test_silence_and_hanging_up_are_retryable() -> None:
    async with OTLPSink(Answer(delay=5)) as sink, exporting(sink.http_endpoint, timeout="50ms") as exporter:
        with pytest.raises(RetryableError, match=r"no answer within 0\.05 s"):
            await exporter.export(batch(counter(1)))
    async with OTLPSink(Answer(hang_up=True)) as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(RetryableError):
            await exporter.export(batch(counter(1)))


async def test_nothing_to_send_sends_nothing() -> None:
    async with OTLPSink() as sink, exporting(sink.http_endpoint) as exporter:
        assert await exporter.export(batch()) is None
        assert await exporter.export(batch(counter(1, temporality=DELTA))) is None
    assert sink.requests == []


async def test_an_unreadable_record_is_refused_before_anything_is_sent() -> None:
    good = batch(counter(1)).records[0].payload
    async with OTLPSink() as sink, exporting(sink.http_endpoint) as exporter:
        with pytest.raises(PermanentError):
            await exporter.export(make_batch(good, b"\xff\xff", signal=Signal.METRICS))
    assert sink.requests == []


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"endpoint": "localhost:9090"}, "not a URL"),
        ({"headers": {"Content-Type": "x"}}, "set by the exporter itself"),
        ({"headers": {"X-Prometheus-Remote-Write-Version": "x"}}, "set by the exporter itself"),
        ({"external_labels": {"__name__": "x"}}, "choose another"),
        ({"protobuf_message": "v3"}, "protobuf_message"),
        ({"auth": {"authenticator": "x"}}, "headers::authorization"),
        ({"proxy_url": "p:1"}, "proxy"),
    ],
)
def test_wrong_configurations_say_why(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        PrometheusRemoteWriteConfig.model_validate({"endpoint": "http://localhost:9090/api/v1/write", **config})


async def receiver(prometheus: MakePrometheus) -> RunningPrometheus:
    loop = asyncio.get_running_loop()
    start = partial(prometheus, "global: {}\n", "--web.enable-remote-write-receiver")
    return await loop.run_in_executor(None, start)


async def test_prometheus_takes_every_kind(prometheus: MakePrometheus) -> None:
    server, ask = await receiver(prometheus), partial(asyncio.get_running_loop().run_in_executor, None)
    metrics = (counter(3), gauge(2), histogram(), exponential(), summary())
    async with exporting(server.url, timeout="10s") as exporter:
        assert await exporter.export(batch(*metrics)) is None
    assert await ask(server.value, 'jobs_total{job="shop"}', SHORTLY) == 3
    assert await ask(server.value, 'wait_seconds_bucket{le="1.0"}', SHORTLY) == 3
    assert await ask(server.value, "histogram_count(size_bytes)", SHORTLY) == 6
    assert await ask(server.value, 'rpc{quantile="0.5"}', SHORTLY) == 0.25
    assert await ask(server.value, 'target_info{host_name="h1"}', SHORTLY) == 1
    (found,) = await ask(server.exemplars, "jobs_total")
    assert found["exemplars"][0]["labels"]["trace_id"] == TRACE_ID.hex()


async def test_a_batch_that_prometheus_has_may_come_again(prometheus: MakePrometheus) -> None:
    server, ask = await receiver(prometheus), partial(asyncio.get_running_loop().run_in_executor, None)
    first, second = batch(counter(1, at=NOW - 30 * S), gauge(1)), batch(counter(2), gauge(2, at=NOW + S))
    async with exporting(server.url, timeout="10s") as exporter:
        for one in (first, second):
            assert await exporter.export(one) is None
        # As after a crash between the answer and the commit of the position.
        again = await exporter.export(first)
        assert again is None or "out of order" in again.message
        assert await exporter.export(second) is None
    assert await ask(server.value, "jobs_total", SHORTLY) == 2


async def test_a_series_that_ended_is_gone_at_once(prometheus: MakePrometheus) -> None:
    server, ask = await receiver(prometheus), partial(asyncio.get_running_loop().run_in_executor, None)
    async with exporting(server.url, timeout="10s") as exporter:
        await exporter.export(batch(gauge(1, at=NOW - 2 * S)))
        assert await ask(server.value, "depth", SHORTLY) == 1
        await exporter.export(batch(gauge(0, at=NOW - S, flags=NO_RECORDED_VALUE)))
    assert await ask(server.query, "depth", SHORTLY) == []


def test_exemplars_are_sorted_by_time() -> None:
    labels: Labels = (("__name__", "m"),)
    marks = [Exemplar((("n", str(n)),), 1.0, (5 - n) * S) for n in range(3)]
    series = TimeSeries(Family("m", "counter", "", ""), labels, 0, {1: 1.0}, {}, marks)
    (made,) = requests([series], version_2=False, metadata=False, most_bytes=1000)
    assert [mark.timestamp for mark in read_write_request(made.body).timeseries[0].exemplars] == [3000, 4000, 5000]
