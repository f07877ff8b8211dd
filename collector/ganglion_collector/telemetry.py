"""The collector's own metrics, by the OpenTelemetry Collector's names; `ganglion_*` is what it has no name for.

Every process counts into files of one folder (`PROMETHEUS_MULTIPROC_DIR`, which the supervisor sets for its children)
and the supervisor exposes them all, so that a killed process loses no count. `data_type` is the signal. Counters of the
Collector's names are exposed without `_total`, as the Collector does (`ganglion_collector.metrics_page`).
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from prometheus_client import Counter, Gauge, Histogram, values

from ganglion_collector.otlp import Signal

__all__ = [
    "PROCESS_VARIABLE",
    "count_accepted",
    "count_consumed",
    "count_dead_lettered",
    "count_dropped",
    "count_duplicates",
    "count_enqueue_failed",
    "count_failed",
    "count_overflow",
    "count_produced",
    "count_refused",
    "count_request",
    "count_send_failed",
    "count_sent",
    "count_trimmed",
    "observe_commit",
    "observe_export",
    "prepare_connector",
    "prepare_exporter",
    "set_derived",
    "set_in_flight",
    "set_journal",
    "set_oldest_waiting",
    "set_position",
]

PROCESS_VARIABLE = "GANGLION_PROCESS"
"""Names a child's metric files; a restarted child goes on counting in those of the one before."""

_process = os.environ.get(PROCESS_VARIABLE)
if _process and "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    _make_value_class = cast("Callable[[Callable[[], str]], Any]", values.MultiProcessValue)  # pyright: ignore[reportUnknownMemberType] (untyped)
    values.ValueClass = _make_value_class(partial(str, _process))

_RECEIVER = ("receiver", "transport")
_EXPORTER = ("exporter", "data_type")
_CONNECTOR = ("connector", "data_type")


def _by_signal(pattern: str, documentation: str, labels: Sequence[str]) -> dict[Signal, Counter]:
    return {
        signal: Counter(pattern.format(signal.items), documentation.format(signal.items.replace("_", " ")), labels)
        for signal in Signal
    }


def _gauge(name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
    return Gauge(name, documentation, labels, multiprocess_mode="livemostrecent")


_ACCEPTED = _by_signal("otelcol_receiver_accepted_{}", "{} acknowledged to the sender, durable.", _RECEIVER)
_REFUSED = _by_signal("otelcol_receiver_refused_{}", "{} refused; the sender was told why.", _RECEIVER)
_FAILED = _by_signal("otelcol_receiver_failed_{}", "{} not taken because of an internal error.", _RECEIVER)
_REQUESTS = Counter("otelcol_receiver_requests", "Requests by outcome.", (*_RECEIVER, "outcome"))

_SENT = _by_signal("otelcol_exporter_sent_{}", "{} that the destination has.", _EXPORTER)
_SEND_FAILED = _by_signal("otelcol_exporter_send_failed_{}", "{} in failed attempts or rejected.", _EXPORTER)
_ENQUEUE_FAILED = _by_signal("otelcol_exporter_enqueue_failed_{}", "{} that found no room in the queue.", _EXPORTER)
_IN_FLIGHT = _gauge("otelcol_exporter_in_flight_requests", "Attempts under way.", _EXPORTER)

_DEAD_LETTERED = Counter(
    "ganglion_exporter_dead_lettered_items", "Items moved to the dead letters.", (*_EXPORTER, "reason")
)
_DROPPED = Counter(
    "ganglion_component_dropped_items",
    "Items that a processor or connector left out, by reason.",
    ("component", "data_type", "reason"),
)
_OVERFLOW = Counter(
    "ganglion_component_overflow_items",
    "Items counted in the overflow series, because a component has as many series as it may.",
    ("component", "data_type"),
)
_CONSUMED = Counter(
    "otelcol_connector_consumed_items", "Items that a connector was given, by outcome.", (*_CONNECTOR, "outcome")
)
_PRODUCED = Counter("otelcol_connector_produced_items", "Items that a connector made, durable.", _CONNECTOR)
_DERIVED_SIZE = _gauge("ganglion_derived_stream_size_bytes", "What a connector made and is still kept.", ["connector"])
_DERIVED_QUOTA = _gauge("ganglion_derived_stream_quota_bytes", "Most that is kept of it.", ["connector"])
_EXPORT_SECONDS = Histogram(
    "ganglion_exporter_export_duration_seconds",
    "Duration of one attempt.",
    _EXPORTER,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_BATCH_ITEMS = Histogram(
    "ganglion_exporter_batch_items",
    "Items in a delivered batch.",
    _EXPORTER,
    buckets=(1, 10, 50, 100, 500, 1000, 2500, 5000, 10_000, 20_000),
)
_POSITION = _gauge("ganglion_exporter_position", "Journal sequence that the exporter has come to.", _EXPORTER)
_OLDEST_WAITING = _gauge(
    "ganglion_exporter_oldest_waiting_timestamp_seconds",
    "When the oldest item not exported yet was received, Unix time; 0 when none waits.",
    _EXPORTER,
)

_JOURNAL_SIZE = _gauge("ganglion_journal_size_bytes", "Journal on disk.")
_JOURNAL_QUOTA = _gauge("ganglion_journal_quota_bytes", "Most that the journal may take on disk.")
_JOURNAL_OLDEST = _gauge("ganglion_journal_oldest_sequence", "First record in the journal.")
_JOURNAL_NEXT = _gauge("ganglion_journal_next_sequence", "The next record to be appended.")
_COMMIT_ENTRIES = Histogram(
    "ganglion_journal_commit_requests", "Requests made durable by one commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
_COMMIT_SECONDS = Histogram(
    "ganglion_journal_commit_duration_seconds",
    "Duration of one commit to disk.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
_COMMIT_BYTES = Counter("ganglion_journal_appended_bytes", "Payload bytes made durable.")
_DUPLICATES = Counter("ganglion_journal_duplicate_requests", "Retried requests recognised and not stored again.")
_TRIMMED = Counter("ganglion_journal_trimmed_bytes", "Bytes given back to the disk.")


_M = TypeVar("_M", Counter, Gauge, Histogram)
_children: dict[tuple[object, ...], Any] = {}


def _child(metric: _M, *labels: str) -> _M:
    """Return the metric with these labels; to find it again by its own means costs as much as to count."""
    child: _M | None = _children.get((metric, *labels))
    if child is None:
        child = _children[metric, *labels] = metric.labels(*labels)
    return child


def count_accepted(signal: Signal, receiver: str, transport: str, items: int) -> None:
    """Count items acknowledged; `transport` is `grpc` or `http`."""
    _child(_ACCEPTED[signal], receiver, transport).inc(items)


def count_refused(signal: Signal, receiver: str, transport: str, items: int) -> None:
    """Count items refused: no room, no valid credentials, or wrong in themselves."""
    _child(_REFUSED[signal], receiver, transport).inc(items)


def count_failed(signal: Signal, receiver: str, transport: str, items: int) -> None:
    """Count items lost to an internal error of the receiver; the sender was told."""
    _child(_FAILED[signal], receiver, transport).inc(items)


def count_request(receiver: str, transport: str, outcome: str) -> None:
    """Count one request; `outcome` is one of a few words, such as `success`, `refused`, `failure`."""
    _child(_REQUESTS, receiver, transport, outcome).inc()


def prepare_exporter(signal: Signal, exporter: str) -> None:
    """Expose an exporter's counters as 0 before anything happens."""
    for counters in (_SENT, _SEND_FAILED, _ENQUEUE_FAILED):
        _child(counters[signal], exporter, signal)
    _child(_IN_FLIGHT, exporter, signal).set(0)
    _child(_OLDEST_WAITING, exporter, signal).set(0)


def prepare_connector(signal: Signal, connector: str) -> None:
    """Expose a connector's counters of what it takes as 0 before anything happens."""
    for outcome in ("success", "failure"):
        _child(_CONSUMED, connector, signal, outcome)


def count_consumed(signal: Signal, connector: str, items: int, outcome: str) -> None:
    """Count items that a connector took in (`success`), or could not (`failure`)."""
    _child(_CONSUMED, connector, signal, outcome).inc(items)


def count_produced(connector: str, signal: Signal, items: int) -> None:
    """Count items that a connector made, once they are durable."""
    _child(_PRODUCED, connector, signal).inc(items)


def set_derived(connector: str, size_bytes: int, quota_bytes: int) -> None:
    """Tell how full a connector's derived stream is."""
    _child(_DERIVED_SIZE, connector).set(size_bytes)
    _child(_DERIVED_QUOTA, connector).set(quota_bytes)


def count_sent(signal: Signal, exporter: str, items: int) -> None:
    _child(_SENT[signal], exporter, signal).inc(items)


def count_send_failed(signal: Signal, exporter: str, items: int) -> None:
    """Count items in an attempt that failed, or that the destination rejected; a retried item counts each time."""
    _child(_SEND_FAILED[signal], exporter, signal).inc(items)


def count_enqueue_failed(signal: Signal, exporter: str, items: int) -> None:
    _child(_ENQUEUE_FAILED[signal], exporter, signal).inc(items)


def count_dead_lettered(signal: Signal, exporter: str, items: int, reason: str) -> None:
    """Count items moved to the dead letters; `reason` is one of a few words, never an error's text."""
    _child(_DEAD_LETTERED, exporter, signal, reason).inc(items)


def count_dropped(component: str, signal: Signal, items: int, reason: str) -> None:
    """Count items that a processor or connector left out; `reason` is one of a few words."""
    _child(_DROPPED, component, signal, reason).inc(items)


def count_overflow(component: str, signal: Signal, items: int) -> None:
    """Count items that went into an overflow series."""
    _child(_OVERFLOW, component, signal).inc(items)


def set_in_flight(signal: Signal, exporter: str, requests: int) -> None:
    _child(_IN_FLIGHT, exporter, signal).set(requests)


def observe_export(signal: Signal, exporter: str, items: int, seconds: float) -> None:
    """Record a successful attempt."""
    _child(_EXPORT_SECONDS, exporter, signal).observe(seconds)
    _child(_BATCH_ITEMS, exporter, signal).observe(items)


def set_position(signal: Signal, exporter: str, sequence: int) -> None:
    """Tell how far in the journal an exporter has come."""
    _child(_POSITION, exporter, signal).set(sequence)


def set_oldest_waiting(signal: Signal, exporter: str, received_at: int) -> None:
    """Tell when the first item in hand was received, in Unix nanoseconds; 0 when none waits."""
    _child(_OLDEST_WAITING, exporter, signal).set(received_at / 1e9)


def set_journal(size_bytes: int, quota_bytes: int, oldest: int, following: int) -> None:
    """Tell how full the journal is, its first sequence and the one that comes next."""
    _JOURNAL_SIZE.set(size_bytes)
    _JOURNAL_QUOTA.set(quota_bytes)
    _JOURNAL_OLDEST.set(oldest)
    _JOURNAL_NEXT.set(following)


def observe_commit(requests: int, size_bytes: int, seconds: float) -> None:
    """Record one group commit of the journal."""
    _COMMIT_ENTRIES.observe(requests)
    _COMMIT_SECONDS.observe(seconds)
    _COMMIT_BYTES.inc(size_bytes)


def count_duplicates(requests: int) -> None:
    _DUPLICATES.inc(requests)


def count_trimmed(size_bytes: int) -> None:
    _TRIMMED.inc(size_bytes)
