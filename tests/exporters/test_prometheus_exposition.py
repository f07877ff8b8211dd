"""The formats in which Prometheus reads metrics, read back by other parsers than ours and by Prometheus itself."""

import asyncio
import math
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from ganglion_collector.metric_values import Buckets, ExponentialHistogram, Histogram, Summary, Value
from ganglion_collector.small_server import Answer, Asked, SmallServer
from ganglion_exporters._prometheus.classic import bound_text, classic, fixed_bounds
from ganglion_exporters._prometheus.escaping import Escaping, escaped
from ganglion_exporters._prometheus.exposition import Format, negotiate, render
from ganglion_exporters._prometheus.model import Exemplar, Family, Kind, Labels, Series
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.exporters.prometheus_messages import read_families
from tests.fix_prometheus import MakePrometheus
from tests.programs import prometheus_program

Families = Sequence[tuple[Family, Sequence[Series]]]

T = 1_700_000_000_123_000_000
TRACE: Labels = (("span_id", "00f067aa0ba902b7"), ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"))
EXEMPLAR = Exemplar(TRACE, 0.7, T)
JOB: Labels = (("instance", ""), ("job", "shop"))
NOTHING = Buckets(0, ())
TEXT, OPEN_METRICS, PROTOBUF = Format(), Format("openmetrics", "1.0.0"), Format("protobuf", "")

PROTOBUF_ACCEPT = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
PROMETHEUS_2 = (
    f"{PROTOBUF_ACCEPT},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
OLD_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def page(families: Families, chosen: Format = TEXT, *, timestamps: bool = False) -> str:
    return b"".join(render(families, chosen, timestamps=timestamps)).decode()


def read_text(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def read_open_metrics(text: str) -> list[Metric]:
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def one(kind: Kind, value: Value, name: str = "m", **more: object) -> Families:
    series = Series(JOB, value, **more)  # type: ignore[arg-type]
    return [(Family(name, kind, "About.", ""), [series])]


def exponential(value: Buckets = NOTHING, **more: object) -> ExponentialHistogram:
    fields = {"count": sum(value.counts), "sum": 1.0, "scale": 0, "zero_threshold": 1e-128, "zero_count": 0}
    return ExponentialHistogram(**fields | more, positive=value, negative=NOTHING)  # type: ignore[arg-type]


BYTES, SECONDS = Histogram(3, 5.0, (0.5, 1e6), (1, 1, 1)), Summary(4, 2.0, ((0.5, 0.1), (0.99, math.nan)))
EVERY_KIND: Families = [
    (
        Family("requests_total", "counter", 'Back\\slash, "quotes"\nand lines.', ""),
        [Series((*JOB, ("path", 'a"b\\c\nd é')), 3, T, T, (EXEMPLAR,)), Series(JOB, 2.5)],
    ),
    (Family("temperature_celsius", "gauge", "", "celsius"), [Series(JOB, math.nan), Series((), -math.inf)]),
    (Family("size_bytes", "histogram", "Sizes.", "bytes"), [Series(JOB, BYTES, T, T)]),
    (
        Family("wait_seconds", "histogram", "Waits.", "seconds"),
        [Series(JOB, exponential(Buckets(0, (2, 3))), T, T, (EXEMPLAR,))],
    ),
    (Family("rpc_seconds", "summary", "Calls.", "seconds"), [Series(JOB, SECONDS, T, T)]),
    (Family("target_info", "info", "Target metadata", ""), [Series((*JOB, ("version", "1")), 1.0)]),
    (Family("old", "unknown", "", ""), [Series(JOB, 1)]),
]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, OLD_TEXT),
        ("", OLD_TEXT),
        ("*/*", OLD_TEXT),
        ("text/html", OLD_TEXT),
        (",;=;;q=x,/", OLD_TEXT),
        ("application/openmetrics-text;q=0", OLD_TEXT),
        ("application/openmetrics-text;version=7.0.0", OLD_TEXT),
        ("application/openmetrics-text;q=NaN", OLD_TEXT),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", OLD_TEXT),
        ("text/plain;q=0.9,application/openmetrics-text;version=1.0.0;q=0.2", OLD_TEXT),
        ("application/openmetrics-text", "application/openmetrics-text; version=0.0.1; charset=utf-8"),
        ("Application/OpenMetrics-Text; Version=1.0.0", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
        (
            PROMETHEUS_2,
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        ),
        ("text/plain;version=1.0.0;escaping=dots", "text/plain; version=1.0.0; charset=utf-8; escaping=dots"),
        ("text/plain;escaping=morse", OLD_TEXT),
    ],
)
def test_the_reader_chooses_the_format(accept: str | None, content_type: str) -> None:
    assert negotiate(accept).content_type == content_type


def test_open_metrics_can_be_turned_off() -> None:
    assert negotiate(PROMETHEUS_3, open_metrics=False).content_type.startswith("text/plain; version=1.0.0")
    assert not negotiate("application/openmetrics-text", open_metrics=False).is_open_metrics


def test_every_kind_is_read_back_from_text() -> None:
    found = {family.name: family for family in read_text(page(EVERY_KIND))}
    assert {name: family.type for name, family in found.items()} == {
        "requests": "counter",
        "temperature_celsius": "gauge",
        "size_bytes": "histogram",
        "wait_seconds": "histogram",
        "rpc_seconds": "summary",
        "target_info": "gauge",
        "old": "unknown",
    }
    assert found["requests"].documentation == 'Back\\slash, "quotes"\nand lines.'
    assert found["requests"].samples[0].labels["path"] == 'a"b\\c\nd é'
    sizes = {(sample.name, sample.labels.get("le")): sample.value for sample in found["size_bytes"].samples}
    assert sizes == {
        ("size_bytes_bucket", "0.5"): 1,
        ("size_bytes_bucket", "1e+06"): 2,
        ("size_bytes_bucket", "+Inf"): 3,
        ("size_bytes_sum", None): 5.0,
        ("size_bytes_count", None): 3,
    }


def test_every_kind_is_read_back_from_open_metrics() -> None:
    found = {family.name: family for family in read_open_metrics(page(EVERY_KIND, OPEN_METRICS))}
    assert {name: (family.type, family.unit) for name, family in found.items()} == {
        "requests": ("counter", ""),
        "temperature_celsius": ("gauge", "celsius"),
        "size_bytes": ("histogram", "bytes"),
        "wait_seconds": ("histogram", "seconds"),
        "rpc_seconds": ("summary", "seconds"),
        "target": ("info", ""),
        "old": ("unknown", ""),
    }
    total, created, *_ = found["requests"].samples
    assert total.exemplar is not None
    assert total.exemplar.labels == dict(TRACE)
    assert (total.exemplar.value, float(total.exemplar.timestamp or 0)) == (0.7, 1_700_000_000.123)
    assert (created.name, created.value) == ("requests_created", 1_700_000_000.123)
    (marked,) = [sample for sample in found["wait_seconds"].samples if sample.exemplar]
    assert marked.labels["le"] == "1.0"


def test_every_kind_is_read_back_from_protobuf() -> None:
    requests, temperature, sizes, waits, calls, target, old = read_families(
        b"".join(render(EVERY_KIND, PROTOBUF, timestamps=True))
    )
    assert [family.type for family in (requests, temperature, sizes, waits, calls, target, old)] == [
        0,
        1,
        4,
        4,
        2,
        1,
        3,
    ]
    counter = requests.metric[0].counter
    assert (counter.value, counter.created_timestamp.seconds, counter.created_timestamp.nanos) == (
        3,
        T // 10**9,
        123_000_000,
    )
    assert {label.name: label.value for label in counter.exemplar.label} == dict(TRACE)
    assert requests.metric[0].timestamp_ms == T // 1_000_000
    assert {label.name: label.value for label in requests.metric[0].label}["path"] == 'a"b\\c\nd é'
    assert math.isnan(temperature.metric[0].gauge.value)
    buckets = [(bucket.upper_bound, bucket.cumulative_count) for bucket in sizes.metric[0].histogram.bucket]
    assert buckets == [(0.5, 1), (1e6, 2), (math.inf, 3)]
    assert (sizes.unit, sizes.metric[0].histogram.sample_sum) == ("bytes", 5.0)
    assert (calls.metric[0].summary.sample_count, len(calls.metric[0].summary.quantile)) == (4, 2)
    native = waits.metric[0].histogram
    assert (native.schema, native.zero_threshold, native.sample_count) == (0, 1e-128, 5)
    assert [(span.offset, span.length) for span in native.positive_span] == [(1, 2)]
    assert list(native.positive_delta) == [2, 1]
    assert native.exemplars[0].value == 0.7


def test_promtool_accepts_every_kind() -> None:
    command = [prometheus_program("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=page(EVERY_KIND).encode(), capture_output=True, check=False)
    # 3 are opinions about names, none about the format.
    assert done.returncode in {0, 3}, done.stderr.decode()


def test_timestamps_are_in_the_unit_of_the_format() -> None:
    families = one("gauge", 1.5, time=T)
    assert page(families, timestamps=True).splitlines()[-1] == 'm{instance="",job="shop"} 1.5 1700000000123'
    assert page(families, OPEN_METRICS, timestamps=True).splitlines()[-2].endswith(" 1.5 1700000000.123")
    assert page(families).splitlines()[-1].endswith(" 1.5")


def test_a_family_without_series_is_not_shown() -> None:
    nothing: Families = [(Family("m", "gauge", "", ""), [])]
    assert page(nothing) == ""
    assert page(nothing, OPEN_METRICS) == "# EOF\n"
    assert page(nothing, PROTOBUF) == ""


def test_what_is_no_counter_info_or_state_by_name_is_still_valid() -> None:
    families = [
        *one("counter", 3, "requests", exemplars=(EXEMPLAR,)),
        *one("info", 2.0, "build_info"),
        *one("stateset", 1.0, "mode"),
    ]
    found = read_open_metrics(page(families, OPEN_METRICS))
    assert [(f.name, f.type, f.samples[0].name) for f in found] == [
        ("requests", "unknown", "requests"),
        ("build_info", "gauge", "build_info"),
        ("mode", "gauge", "mode"),
    ]


def test_a_state_set_has_its_label() -> None:
    series = [Series((*JOB, ("mode", mode)), float(mode == "on")) for mode in ("off", "on")]
    families = [(Family("mode", "stateset", "", "seconds"), series)]
    (found,) = read_open_metrics(page(families, OPEN_METRICS))
    assert (found.type, [sample.value for sample in found.samples]) == ("stateset", [0, 1])


@pytest.mark.parametrize(
    "value",
    [
        Histogram(3, None, (1.0,), (1, 2)),
        Histogram(3, 5.0, (-1.0, 1.0), (1, 1, 1)),
        Histogram(3, math.nan, (), (3,)),
        exponential(Buckets(0, (1,)), sum=-4.0),
        Summary(3, -1.0, ((0.5, -2.0),)),
    ],
    ids=["no-sum", "negative-bounds", "nan-sum", "negative-sum", "negative-quantile"],
)
def test_sums_that_open_metrics_forbids_are_left_out(value: Value) -> None:
    kind: Kind = "summary" if isinstance(value, Summary) else "histogram"
    (found,) = read_open_metrics(page(one(kind, value), OPEN_METRICS))
    assert not [sample for sample in found.samples if sample.name == "m_sum"]


def test_exemplars_over_the_limit_of_open_metrics_are_left_out() -> None:
    def shown(length: int) -> bool:
        exemplar = Exemplar((("key", "x" * (length - 3)),), 1.0, T)
        return " # {" in page(one("counter", 1, "m_total", exemplars=(exemplar,)), OPEN_METRICS)

    assert shown(128)
    assert not shown(129)


def test_of_a_bucket_the_latest_exemplar_is_shown() -> None:
    marks = tuple(Exemplar((("n", str(n)),), value, T + n) for n, value in enumerate((0.5, 1.0, 0.7, 9.0, math.nan)))
    text = page(one("histogram", Histogram(4, 2.0, (1.0,), (3, 1)), exemplars=marks), OPEN_METRICS)
    assert [line.partition(" # ")[2][:5] for line in text.splitlines() if " # {" in line] == ['{n="2', '{n="3']


@pytest.mark.parametrize(
    ("escaping", "name", "expected"),
    [
        ("underscores", "http.server-duration", "http_server_duration"),
        ("underscores", "9lives", "_lives"),
        ("underscores", "héllo", "h_llo"),
        ("allow-utf-8", "http.server", "http.server"),
        ("dots", "http.status:sum_x", "http_dot_status:sum__x"),
        ("dots", "a-b", "a__b"),
        ("values", "plain_name", "plain_name"),
        ("values", "http.status_é", "U__http_2e_status___e9_"),
    ],
)
def test_names_are_escaped_as_asked(escaping: Escaping, name: str, expected: str) -> None:
    assert escaped(name, escaping) == expected


def test_a_label_has_no_colons() -> None:
    assert escaped("a:b", "underscores", colons=False) == "a_b"
    assert escaped("a:b", "values", colons=False) == "U__a_3a_b"


def test_names_that_need_quotes_get_them() -> None:
    families = [
        (Family("http.requests_total", "counter", "x", ""), [Series((("http.path", "/"),), 1), Series((), 2)]),
        (Family("http.wait", "histogram", "", ""), [Series((), Histogram(1, 1.0, (), (1,)))]),
    ]
    assert page(families, Format("text", "1.0.0", "allow-utf-8", says_escaping=True)).splitlines() == [
        '# HELP "http.requests_total" x',
        '# TYPE "http.requests_total" counter',
        '{"http.requests_total","http.path"="/"} 1',
        '{"http.requests_total"} 2',
        '# TYPE "http.wait" histogram',
        '{"http.wait_bucket",le="+Inf"} 1',
        '{"http.wait_sum"} 1.0',
        '{"http.wait_count"} 1',
    ]


def test_names_that_become_one_stay_two() -> None:
    families = [*one("gauge", 1, "a.b"), *one("gauge", 2, "a_b"), *one("gauge", 3, "a-b")]
    names = [line.split()[2] for line in page(families).splitlines() if line.startswith("# TYPE")]
    assert names == ["a_b", "U__a__b", "U__a_2d_b"]
    families = [*one("gauge", 1, "p_q_count"), *one("histogram", Histogram(1, 1.0, (), (1,)), "p.q")]
    assert {metric.name for metric in read_text(page(families))} == {"p_q_count", "U__p_2e_q"}
    for name, other in (("q.a_total", "q_a"), ("q_a_total", "q.a")):
        pair = [*one("counter", 1, name), *one("gauge", 2, other)]
        for families in (pair, pair[::-1]):
            assert len({metric.name for metric in read_open_metrics(page(families, OPEN_METRICS))}) == 2
    labels: Labels = (("a.b", "1"), ("a_b", "2"))
    assert page([(Family("m", "gauge", "", ""), [Series(labels, 0)])]).splitlines()[-1] == 'm{a_b="1;2"} 0'


@given(
    name=st.text(min_size=1, max_size=20),
    labels=st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=4),
    value=st.floats() | st.integers(-(2**63), 2**63 - 1),
)
def test_any_name_label_and_value_is_read_back(name: str, labels: dict[str, str], value: float) -> None:
    labels = {f"l{key}": text for key, text in labels.items()}
    families = [(Family(f"m{name}", "gauge", name, ""), [Series(tuple(sorted(labels.items())), value)])]
    for chosen, parse in (
        (TEXT, read_text),
        (OPEN_METRICS, read_open_metrics),
    ):
        (family,) = parse(page(families, chosen))
        (sample,) = family.samples
        assert sample.name == escaped(f"m{name}", "underscores")
        assert float(sample.value) == float(value) or math.isnan(value)
        assert sorted(";".join(sample.labels.values())) == sorted(";".join(labels.values()))
    (message,) = read_families(b"".join(render(families, PROTOBUF, timestamps=False)))
    assert message.metric[0].gauge.value == float(value) or math.isnan(value)


@pytest.mark.parametrize(
    ("bound", "text"),
    [(1.0, "1.0"), (0.005, "0.005"), (100000.0, "100000.0"), (1e6, "1e+06"), (1234567.5, "1.2345675e+06"),
     (1e-5, "1e-05"), (1e16, "1e+16"), (-2.5e7, "-2.5e+07"), (math.inf, "+Inf"), (0.0, "0.0")],
)  # fmt: skip
def test_bounds_are_written_as_prometheus_stores_them(bound: float, text: str) -> None:
    assert bound_text(bound) == text
    assert float(text) == bound


@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "bytes", "", "ratio"])
def test_bounds_of_exponential_histograms_depend_on_the_unit_alone(unit: str) -> None:
    small = classic(exponential(Buckets(-3, (1,))), unit)
    large = classic(exponential(Buckets(-300, tuple(range(600)))), unit)
    assert small.bounds == large.bounds == fixed_bounds(unit)
    assert 20 < len(small.bounds) <= 40
    assert all(math.frexp(bound)[0] == 0.5 for bound in small.bounds)


@given(
    scale=st.integers(-4, 8),
    offset=st.integers(-400, 400),
    counts=st.lists(st.integers(0, 5), max_size=160),
    more=st.lists(st.integers(0, 5), min_size=160, max_size=160),
    zero=st.integers(0, 3),
)
def test_counts_below_fixed_bounds_are_exact_and_only_grow(
    scale: int, offset: int, counts: list[int], more: list[int], zero: int
) -> None:
    def shape(values: Sequence[int]) -> list[int]:
        total = sum(values) + zero
        value = exponential(Buckets(offset, tuple(values)), scale=scale, zero_count=zero, count=total)
        shown = classic(value, "seconds")
        for bound, count in zip(shown.bounds, shown.counts, strict=True):
            ends = ((offset + place + 1) / 2**scale for place in range(len(values)))
            assert count == zero + sum(n for n, end in zip(values, ends, strict=True) if end <= math.log2(bound))
        return [*shown.counts, shown.count]

    before = shape(counts)
    after = shape([count + extra for count, extra in zip([*counts, *[0] * 160], more, strict=False)])
    assert before == sorted(before)
    assert all(early <= late for early, late in zip(before, after, strict=True))


def test_gaps_between_native_buckets_are_spans() -> None:
    value = exponential(Buckets(-5, (1, 0, 0, 4, 0, 0, 0, 2)), scale=3)
    (family,) = read_families(b"".join(render(one("histogram", value), PROTOBUF, timestamps=False)))
    native = family.metric[0].histogram
    assert [(span.offset, span.length) for span in native.positive_span] == [(-4, 4), (3, 1)]
    assert list(native.positive_delta) == [1, -1, 0, 4, -2]


def test_an_empty_native_histogram_is_still_one() -> None:
    (family,) = read_families(
        b"".join(render(one("histogram", exponential(zero_threshold=0.0)), PROTOBUF, timestamps=False))
    )
    assert [(span.offset, span.length) for span in family.metric[0].histogram.positive_span] == [(0, 0)]


@asynccontextmanager
async def shown(families: Families) -> AsyncIterator[str]:
    """Serve `families` and yield the configuration of a Prometheus that reads them."""

    async def answer(asked: Asked) -> Answer:
        chosen = negotiate(asked.headers.get("accept"))
        return Answer(200, chosen.content_type, b"".join(render(families, chosen, timestamps=False)))

    server = SmallServer("127.0.0.1:0", "/metrics", answer, "the test")
    address = await server.start()
    try:
        yield (
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            "scrape_configs: [{job_name: page, honor_labels: true, static_configs: [{targets: ['" + address + "']}]}]\n"
        )
    finally:
        await server.shutdown()


async def test_prometheus_reads_native_histograms_with_exemplars(prometheus: MakePrometheus) -> None:
    loop = asyncio.get_running_loop()
    now = EXEMPLAR._replace(time=time.time_ns())
    families = [(family, [replace(one, exemplars=(now,)) for one in series]) for family, series in EVERY_KIND]
    async with shown(families) as configuration:
        server = await loop.run_in_executor(None, prometheus, configuration)
        wait = partial(loop.run_in_executor, None)

        async def value(expression: str) -> float:
            # After a scrape that took too long Prometheus shows none until the next one.
            (series,) = await wait(server.wait_for, expression)
            return float(series["value"][1])

        assert await value("histogram_count(wait_seconds)") == 5
        # 2 are in (1, 2], 3 in (2, 4].
        assert await value("histogram_quantile(0.4, wait_seconds)") == 2
        assert await value('requests_total{path!=""}') == 3
        assert await value('size_bytes_bucket{le="1e+06"}') == 2
        for name in ('requests_total{path!=""}', "wait_seconds"):
            (found,) = await wait(server.exemplars, name)
            assert found["exemplars"][0]["labels"] == dict(TRACE)
