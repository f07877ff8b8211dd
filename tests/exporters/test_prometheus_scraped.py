"""A real Prometheus reads the exporter of a real collector."""

import time
from functools import partial

import pytest

from tests.exporters.counters import DELTA, SPAN_ID, TRACE_ID, S, request
from tests.fix_collector import MakeCollector, RunningCollector, eventually, simple
from tests.fix_prometheus import MakePrometheus, RunningPrometheus
from tests.programs import free_port

pytestmark = pytest.mark.timeout(90)

SCRAPE = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
- {{job_name: ganglion, honor_labels: true, static_configs: [{{targets: ["{address}"]}}]}}
"""


class Stand:
    """A collector and the Prometheus that reads it."""

    def __init__(self, collector: RunningCollector, prometheus: RunningPrometheus) -> None:
        self.collector = collector
        self.prometheus = prometheus

    def send(self, *values: float, **options: object) -> None:
        body = request(*values, **options).SerializeToString()  # type: ignore[arg-type]
        assert self.collector.post("/v1/metrics", body) == 200


@pytest.fixture
def stand(collector: MakeCollector, prometheus: MakePrometheus, request: pytest.FixtureRequest) -> Stand:
    """`@pytest.mark.parametrize("stand", ["further: keys"], indirect=True)` changes the exporter's configuration."""
    address = f"127.0.0.1:{free_port()}"
    keys = "".join(f", {one}" for one in [getattr(request, "param", "")] if one)
    text = simple(f'{{prometheus: {{endpoint: "{address}"{keys}}}}}', "metrics: [prometheus]")
    started = collector(text).start()
    reader = prometheus(SCRAPE.format(address=address))
    reader.wait_for("up == 1")  # it takes its first targets up some seconds after it is ready
    return Stand(started, reader)


def test_series_and_their_exemplars_are_in_prometheus(stand: Stand) -> None:
    stand.send(1, 2, now=time.time_ns())
    (series,) = stand.prometheus.wait_for('calls_total{user="1"}')
    assert series["value"][1] == "2"
    assert {**series["metric"]} == {
        "__name__": "calls_total",
        "instance": "1",
        "job": "web",
        "user": "1",
    }
    joined = stand.prometheus.wait_for("calls_total * on (job, instance) group_left (host_name) target_info")
    assert {one["metric"]["host_name"] for one in joined} == {"h"}
    found = stand.prometheus.exemplars("calls_total")
    assert {one["seriesLabels"]["user"] for one in found} == {"0", "1"}
    labels = found[0]["exemplars"][0]["labels"]
    assert labels == {"trace_id": TRACE_ID.hex(), "span_id": SPAN_ID.hex(), "k": "v"}


@pytest.mark.parametrize("stand", ["metric_expiration: 1s, counter_expiration: 1s"], indirect=True)
def test_a_series_that_expired_is_gone_in_prometheus(stand: Stand) -> None:
    stand.send(1, now=time.time_ns())
    stand.prometheus.wait_for("calls_total")
    stand.prometheus.wait_until_absent("calls_total or target_info")
    assert stand.prometheus.query("max_over_time(calls_total[1m])")


def test_a_killed_worker_neither_loses_nor_resets_a_counter(stand: Stand) -> None:
    """Deltas go on coming while the exporter's process is killed, three times: their sum is exact."""
    now, killed, sent = time.time_ns() - 3600 * S, 0, 0
    for sent in range(1, 91):
        stand.send(1, 10, temporality=DELTA, at=sent, now=now)
        if sent % 30 == 15:
            eventually(partial(_runs_again, stand.collector, killed))
            killed = stand.collector.kill("worker:")
    # Not asked again: after a scrape that took too long Prometheus shows none until the next one.
    for user, total in (("0", sent), ("1", sent * 10)):
        (series,) = stand.prometheus.wait_for(f'calls_total{{user="{user}"}} >= {total}')
        assert float(series["value"][1]) == total
    assert stand.prometheus.value("sum(resets(calls_total[1m]))") == 0


def test_a_collector_that_is_started_again_goes_on(stand: Stand) -> None:
    now = time.time_ns() - 3600 * S
    stand.send(1, 10, temporality=DELTA, at=0, now=now)
    stand.prometheus.wait_for("calls_total > 0")
    assert stand.collector.stop() == 0
    stand.collector.start()
    stand.send(1, 10, temporality=DELTA, at=1, now=now)
    stand.prometheus.wait_for('calls_total{user="1"} == 20')
    assert stand.prometheus.value("sum(resets(calls_total[1m]))") == 0


def _runs_again(collector: RunningCollector, killed: int) -> bool:
    process = collector.process("worker:")
    return process["pid"] not in (None, killed) and process["state"] == "running"
