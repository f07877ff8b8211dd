"""Remote writes of a real collector to a real Prometheus, through kills and a destination that is away."""

import time
from contextlib import closing

from ganglion_collector.dead_letters import DeadLetters

from tests.exporters.counters import request
from tests.fix_collector import MakeCollector, simple
from tests.fix_prometheus import MakePrometheus

S = 10**9
WORKER = "worker:"
RETRY = "retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}"


def test_points_arrive_through_a_kill_and_none_is_a_dead_letter(
    collector: MakeCollector, prometheus: MakePrometheus
) -> None:
    server = prometheus("global: {}\n", "--web.enable-remote-write-receiver")
    exporters = f'{{prometheusremotewrite: {{endpoint: "{server.url}/api/v1/write", {RETRY}}}}}'
    running = collector(simple(exporters, "metrics: [prometheusremotewrite]")).start()
    now = time.time_ns() - 60 * S
    for second in range(10):
        if second == 5:
            running.kill(WORKER)
        body = request(second + 1, now=now, at=second).SerializeToString()
        assert running.post("/v1/metrics", body) == 200
    server.wait_for("calls_total == 10")
    values = server.get("/api/v1/query_range", query="calls_total", start=str(now / S), end=str(now / S + 9), step="1")[
        "result"
    ][0]["values"]
    assert [float(value) for _, value in values] == list(range(1, 11))
    with closing(DeadLetters(running.home / "dead-letters.sqlite")) as kept:
        assert kept.list() == []
