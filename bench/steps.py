"""What each step of the way costs a record, alone, in one process: parse, check, convert."""

import time
from collections.abc import Callable, Iterator

import orjson
from ganglion_collector.otlp import Signal, count_items, parse_request

from bench.data import log_template, span_template
from bench.report import Figure, Scale, median

__all__ = ["run"]

_RECORDS = 500


def _cost(what: str, step: Callable[[], object], rounds: int, note: str = "") -> Figure:
    times: list[float] = []
    step()
    for _ in range(rounds):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return Figure(what, median(times) / _RECORDS * 1e6, "µs a record", note=note)


def run(scale: Scale) -> Iterator[Figure]:
    """Yield microseconds a record for each step; requests of 500."""
    rounds = scale.pick(20, 200)
    logs = log_template(_RECORDS).stamp(1, time.time_ns())
    spans = span_template(_RECORDS).stamp(1, time.time_ns())
    for signal, payload in ((Signal.LOGS, logs), (Signal.TRACES, spans)):
        parsed = parse_request(signal, payload)
        yield _cost(f"parse {signal}", lambda s=signal, p=payload: parse_request(s, p), rounds)
        yield _cost(f"count {signal}", lambda s=signal, r=parsed: count_items(s, r), rounds)
        yield _cost(f"serialise {signal}", parsed.SerializeToString, rounds)
    yield _cost("orjson, one log's context", lambda: [orjson.dumps({"layer": "x", "n": 1}) for _ in range(500)], rounds)
