"""Connectors and transforms in real processes, which are killed."""

import re
import time
from itertools import count

from ganglion_collector.component import Signal
from ganglion_collector.otlp import Request, count_items

from tests.collector.deriving import trace_request
from tests.fix_collector import HEADER, TELEMETRY, MakeCollector, RunningCollector, eventually

_CONFIG = f"""{HEADER}exporters:
  prometheus: {{endpoint: "127.0.0.1:0"}}
connectors:
  span_metrics: {{metrics_flush_interval: 500ms}}
  count:
processors:
  deltatocumulative:
service:
  extensions: [health_check]
  pipelines:
    traces: {{receivers: [otlp], exporters: [span_metrics, count]}}
    metrics:
      receivers: [span_metrics, count]
      processors: [deltatocumulative]
      exporters: [prometheus]
{TELEMETRY}"""
_ids = count(1)


def request(spans: int) -> Request:
    """Return spans of three names, no two alike in any request."""
    ids = [next(_ids) for _ in range(spans)]
    found = trace_request(
        [{"name": f"n{n % 3}", "trace_id": n.to_bytes(16, "big"), "span_id": n.to_bytes(8, "big")} for n in ids]
    )
    for span in found.resource_spans[0].scope_spans[0].spans:
        span.end_time_unix_nano = time.time_ns()
        span.start_time_unix_nano = span.end_time_unix_nano - 5_000_000
    return found


def total(running: RunningCollector, metric: str) -> float:
    _, body = running.get("prometheus", "/metrics")
    return sum(float(value) for value in re.findall(rf"^{metric}\{{.*\}} (\S+)$", body, re.MULTILINE))


def test_counts_are_those_of_the_spans_whatever_process_is_killed(collector: MakeCollector) -> None:
    running = collector(_CONFIG).start()
    victims = [
        found["name"]
        for found in running.status()["processes"]
        if any(part in found["name"] for part in ("span_metrics", "count", "prometheus"))
    ]
    assert len(victims) == 3
    sent = 0
    for step in range(9):
        made = request(50)
        assert running.post("/v1/traces", made.SerializeToString()) == 200
        sent += count_items(Signal.TRACES, made)
        if step % 3 == 2:
            running.kill(victims[step // 3])
    for metric in (
        "traces_span_metrics_calls_total",
        "traces_span_metrics_duration_milliseconds_count",
        "trace_span_count_total",
    ):
        eventually(lambda metric=metric: _reachable(running, metric) >= sent, timeout=15)  # type: ignore[misc]
        assert total(running, metric) == sent


def _reachable(running: RunningCollector, metric: str) -> float:
    try:
        return total(running, metric)
    except OSError:
        return -1.0
