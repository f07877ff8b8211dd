"""The exporter: its page, its configuration, and what survives a restart."""

import asyncio
import gzip
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trustme
from ganglion_collector.component import Listens, Stateful
from ganglion_collector.errors import PermanentError, StartError
from ganglion_collector.otlp import Signal
from ganglion_collector.testing import make_batch
from ganglion_exporters.prometheus import PrometheusConfig, PrometheusExporter, factory
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from tests.exporters.counters import DELTA, NOW, request
from tests.programs import prometheus_program

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def exporter(**config: Any) -> PrometheusExporter:
    return PrometheusExporter(PrometheusConfig.model_validate({"endpoint": "127.0.0.1:0", **config}))


@asynccontextmanager
async def running(made: PrometheusExporter) -> AsyncIterator[httpx.AsyncClient]:
    await made.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{made.address}") as client:
            yield client
    finally:
        await made.shutdown()


async def export(made: PrometheusExporter, *requests: Any) -> None:
    await made.export(make_batch(*requests, signal=Signal.METRICS))


def samples(text: str) -> dict[str, float]:
    """Return the values by sample name, and `user` where there is one."""
    return {
        " ".join(filter(None, (sample.name, sample.labels.get("user")))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_points_are_shown() -> None:
    made = exporter()
    async with running(made) as client:
        await export(made, request(1, 2))
        page = await client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert samples(page.text) == {"calls_total 0": 1, "calls_total 1": 2, "target_info": 1}
    assert 'job="web"' in page.text
    assert 'instance="1"' in page.text


async def test_an_empty_page_is_valid() -> None:
    async with running(exporter()) as client:
        for accept in ("", OPEN_METRICS):
            page = await client.get("/metrics", headers={"accept": accept})
            assert page.status_code == 200
        assert page.text == "# EOF\n"


async def test_exemplars_are_in_open_metrics_with_nothing_configured() -> None:
    made = exporter()
    async with running(made) as client:
        await export(made, request(1))
        page = await client.get("/metrics", headers={"accept": OPEN_METRICS})
    assert page.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert f'trace_id="{"01" * 16}"' in page.text
    assert f'span_id="{"02" * 8}"' in page.text


async def test_open_metrics_can_be_turned_off() -> None:
    async with running(exporter(enable_open_metrics=False)) as client:
        page = await client.get("/metrics", headers={"accept": OPEN_METRICS})
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_the_page_passes_promtool() -> None:
    made = exporter()
    async with running(made) as client:
        await export(made, request(1, 2))
        page = (await client.get("/metrics")).text
    program = [prometheus_program("promtool"), "check", "metrics"]
    done = await asyncio.to_thread(
        subprocess.run, program, input=page, capture_output=True, text=True, check=False, timeout=10
    )
    # It wants a help text of every metric, which a sender may not give.
    assert (done.stdout, done.stderr) == ("", "calls_total no help text\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("GET", "/metrics/", 200),
        ("GET", "/metrics?x=1", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/", 200),
        ("GET", "/other", 404),
        ("GET", "/metrics/more", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/", 405),
    ],
)
async def test_paths_and_methods(method: str, path: str, status: int) -> None:
    async with running(exporter()) as client:
        answer = await client.request(method, path)
    assert answer.status_code == status


async def test_the_root_names_the_page() -> None:
    async with running(exporter()) as client:
        assert "/metrics" in (await client.get("/")).text


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("identity", False),
        ("", False),
        ("gzip;q=0", False),
        ("gzip;q=nonsense", False),
        ("notgzip", False),
    ],
)
async def test_answers_are_compressed_when_asked(accepted: str, compressed: bool) -> None:
    made = exporter()
    async with running(made) as client:
        await export(made, request(1))
        async with client.stream("GET", "/metrics", headers={"accept-encoding": accepted}) as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert (answer.headers.get("content-encoding") == "gzip") is compressed
    text = gzip.decompress(raw) if compressed else raw
    assert b"calls_total" in text


async def test_the_page_is_served_over_tls() -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems).decode()
    made = exporter(tls={"cert_pem": chain, "key_pem": certificate.private_key_pem.bytes().decode()})
    context = ssl.create_default_context()
    authority.configure_trust(context)
    await made.start()
    try:
        async with httpx.AsyncClient(verify=context) as client:
            assert (await client.get(f"https://{made.address}/metrics")).status_code == 200
    finally:
        await made.shutdown()


async def test_a_taken_port_is_said_with_the_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"127\.0\.0\.1:{port}.*`endpoint`"):
            await exporter(endpoint=f"127.0.0.1:{port}").start()


def test_it_keeps_the_contract() -> None:
    made = exporter()
    assert isinstance(made, Stateful)
    assert isinstance(made, Listens)
    assert factory.shared
    assert factory.signals == {Signal.METRICS}


async def test_a_batch_that_cannot_be_read_has_no_effect() -> None:
    made = exporter()
    async with running(made) as client:
        with pytest.raises(PermanentError):
            await export(made, request(1), b"\xff\xff")
        assert samples((await client.get("/metrics")).text) == {}
        await export(made, request(1))
        assert samples((await client.get("/metrics")).text)["calls_total 0"] == 1


async def test_many_scrapes_at_once_each_see_whole_batches() -> None:
    """Every batch adds one to each of many series: in a scrape all have the same value."""
    made = exporter()
    async with running(made) as client:
        await export(made, request(*[1.0] * 500, temporality=DELTA))

        async def fill() -> None:
            for second in range(1, 30):
                await export(made, request(*[1.0] * 500, temporality=DELTA, at=second))

        filling = asyncio.create_task(fill())
        pages = await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
        await filling
        pages.append(await client.get("/metrics"))
    for page in pages:
        values = re.findall(r"^calls_total{.*} (.*)$", page.text, re.MULTILINE)
        assert len(values) == 500
        assert len(set(values)) == 1
    assert float(values[0]) == 30


async def test_a_reader_that_takes_nothing_holds_nobody_up() -> None:
    made = exporter()
    async with running(made) as client:
        # More than the system takes for a connection that nobody reads.
        await export(made, request(*[1.0] * 10_000, padding="x" * 1000))
        host, port = made.address.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as silent:
            silent.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            for _ in range(3):
                assert (await client.get("/metrics")).text.count("calls_total{") == 10_000
            await export(made, request(7, at=1))
            assert 'user="0"} 7' in (await client.get("/metrics")).text


async def test_series_expire_while_nobody_scrapes() -> None:
    made = exporter(metric_expiration="100ms", counter_expiration="100ms")
    async with running(made) as client:
        await export(made, request(1))
        before = len(made.state())
        async with asyncio.timeout(10):
            while len(made.state()) == before:  # noqa: ASYNC110 (no event tells)
                await asyncio.sleep(0.02)
        assert samples((await client.get("/metrics")).text) == {}


async def test_a_restarted_exporter_goes_on() -> None:
    first = exporter()
    async with running(first):
        await export(first, request(1, 2, temporality=DELTA))
    second = exporter()
    second.restore(first.state())
    async with running(second) as client:
        await export(second, request(10, temporality=DELTA, at=1))
        assert samples((await client.get("/metrics")).text) == {
            "calls_total 0": 11,
            "calls_total 1": 2,
            "target_info": 1,
        }


async def test_a_scrape_waits_until_a_restarted_exporter_has_caught_up() -> None:
    """What came after the saved state may have been shown: a counter must not go back."""
    first = exporter()
    async with running(first):
        await export(first, request(1, temporality=DELTA))
        state = first.state()
    second = exporter()
    second.restore(state)
    async with running(second) as client:
        scraping = asyncio.create_task(client.get("/metrics"))
        done, _ = await asyncio.wait([scraping], timeout=0.3)
        assert not done
        await export(second, request(10, temporality=DELTA, at=1))
        assert samples((await scraping).text)["calls_total 0"] == 11


@pytest.mark.parametrize(
    "other",
    [
        {"namespace": "shop"},
        {"const_labels": {"zone": "a"}},
        {"without_scope_info": True},
        {"add_metric_suffixes": False},
    ],
    ids=str,
)
async def test_a_state_of_other_names_is_not_taken(other: dict[str, Any]) -> None:
    first, second = exporter(), exporter(**other)
    async with running(first):
        await export(first, request(1))
    with pytest.raises(ValueError, match="begin anew"):
        second.restore(first.state())
    async with running(second) as client:
        assert samples((await client.get("/metrics")).text) == {}


async def test_a_state_is_taken_whatever_else_was_changed() -> None:
    first, second = exporter(), exporter(metric_expiration="1h", max_series=5, enable_open_metrics=False)
    async with running(first):
        await export(first, request(1))
    second.restore(first.state())
    assert second.state()


CONFIGURED: list[tuple[dict[str, Any], Callable[[str], bool]]] = [
    ({"namespace": "shop"}, lambda page: "shop_calls_total{" in page),
    ({"const_labels": {"zone": "a"}}, lambda page: 'zone="a"' in page),
    ({"add_metric_suffixes": False}, lambda page: "\ncalls{" in page),
    ({"translation_strategy": "NoTranslation"}, lambda page: "\ncalls{" in page),
    ({"translation_strategy": "", "add_metric_suffixes": True}, lambda page: "\ncalls_total{" in page),
    ({"without_scope_info": True}, lambda page: "otel_scope" not in page),
    ({"target_info": {"enabled": False}}, lambda page: "target_info" not in page),
    ({}, lambda page: 'host_name="h",' not in page.partition("calls_total{")[2].partition("\n")[0]),
    ({"resource_to_telemetry_conversion": {"enabled": True}}, lambda page: page.count('host_name="h"') == 2),
    ({"resource_constant_labels": {"included": ["host.*"]}}, lambda page: page.count('host_name="h"') == 2),
    (
        {"resource_to_telemetry_conversion": {"enabled": True, "exclude_service_attributes": True}},
        lambda page: "service_name" not in page,
    ),
    ({"send_timestamps": True}, lambda page: f" {NOW // 1_000_000}\n" in page),
]


@pytest.mark.parametrize(("config", "holds"), CONFIGURED, ids=[str(config) for config, _holds in CONFIGURED])
async def test_a_key_changes_the_page(config: dict[str, Any], holds: Callable[[str], bool]) -> None:
    made = exporter(**config)
    async with running(made) as client:
        await export(made, request(1))
        page = (await client.get("/metrics")).text
    assert holds(page), page


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"const_labels": {"le": "1"}}, "choose another"),
        ({"const_labels": {"__name__": "1"}}, "choose another"),
        ({"endpoint": "8889"}, "host:port"),
        ({"translation_strategy": "Other"}, "UnderscoreEscapingWithSuffixes"),
        ({"metric_expiration": "5"}, "duration"),
        ({"max_series": 0}, "greater than or equal to 1"),
        ({"tls": {"cert_file": "/nowhere"}}, "key"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PrometheusConfig.model_validate(config)


def test_counters_stay_at_least_as_long_as_gauges() -> None:
    assert PrometheusConfig.model_validate({"metric_expiration": "180m"}).longest_without_point == 10_800
    assert PrometheusConfig.model_validate({}).longest_without_point == 3600
    assert PrometheusConfig.model_validate({"metric_expiration": 0}).longest_without_point == 0
