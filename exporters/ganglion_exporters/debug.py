"""Print batches for a person to read."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, TextIO

from ganglion_collector.component import Batch, ExporterConfig, ExporterFactory, Signal
from ganglion_collector.errors import InvalidRequestError, RetryableError
from ganglion_collector.otlp import Request
from google.protobuf.text_format import MessageToString
from pydantic import Field

__all__ = ["DebugConfig", "DebugExporter", "factory"]

_LONGEST_VALUE = 500


class DebugConfig(ExporterConfig):
    """The Collector's `debug` exporter."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "use_internal_logger": "batches are printed to output_paths, never into the collector's own log"
    }

    verbosity: Literal["basic", "normal", "detailed"] = "basic"
    """`basic` prints one line for each batch, `normal` one for each item as well, `detailed` every field."""
    sampling_initial: int = Field(default=2, ge=0)
    """Batches of a second that are all printed."""
    sampling_thereafter: int = Field(default=1, ge=0)
    """Of a second's further batches every so manieth is printed; 0 prints none of them."""
    output_paths: list[Literal["stdout", "stderr"]] = Field(default=["stdout"], min_length=1)
    """Where batches are printed."""


class DebugExporter:
    """Never fails on what a batch holds; unreadable records and control characters are shown as such."""

    def __init__(self, config: DebugConfig) -> None:
        self._config = config
        self._second = 0
        self._seen = 0
        self._running = False

    async def start(self) -> None:
        self._running = True

    async def export(self, batch: Batch) -> None:
        if not self._running:
            raise RetryableError("the exporter is not started or already shut down")
        if not batch.records or not self._sampled(int(time.monotonic())):
            return
        text = "".join(f"{line}\n" for line in _lines(batch, self._config.verbosity))
        try:
            for stream in self._streams():
                _write(stream, text)
        except (OSError, ValueError) as error:
            raise RetryableError(f"cannot print: {error}") from None

    async def shutdown(self) -> None:
        self._running = False

    def _sampled(self, second: int) -> bool:
        if second != self._second:
            self._second, self._seen = second, 0
        self._seen += 1
        beyond = self._seen - self._config.sampling_initial
        every = self._config.sampling_thereafter
        return beyond <= 0 or (every > 0 and beyond % every == 0)

    def _streams(self) -> Iterable[TextIO]:
        return [getattr(sys, path) for path in self._config.output_paths]


def _write(stream: TextIO, text: str) -> None:
    """Write what the stream's encoding can hold; the rest is escaped."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _lines(batch: Batch, verbosity: str) -> Iterator[str]:
    records = len(batch.records)
    yield f"{batch.signal}: {batch.item_count} {_noun(batch)}, {records} requests, {batch.size_bytes} bytes"
    if verbosity == "basic":
        return
    try:
        requests = batch.requests()
    except InvalidRequestError as error:
        yield f"  unreadable: {_plain(error)}"
        return
    for request in requests:
        yield from _details(request) if verbosity == "detailed" else _summaries(batch.signal, request)


def _noun(batch: Batch) -> str:
    return batch.signal.items.replace("_", " ")


def _details(request: Request) -> Iterator[str]:
    for line in MessageToString(request, as_utf8=True).splitlines():
        yield f"  {_plain(line)}"


def _summaries(signal: Signal, request: Any) -> Iterator[str]:
    match signal:
        case Signal.TRACES:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    yield from map(_span, scope.spans)
        case Signal.LOGS:
            for resource in request.resource_logs:
                for scope in resource.scope_logs:
                    yield from map(_log, scope.log_records)
        case Signal.METRICS:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    yield from map(_metric, scope.metrics)


def _span(span: Any) -> str:
    return f"  {_plain(span.name)} {span.trace_id.hex()} {span.span_id.hex()} {_attributes(span)}".rstrip()


def _log(record: Any) -> str:
    ids = f"{record.trace_id.hex()} {record.span_id.hex()}".strip()
    return f"  {_plain(record.severity_text)} {_value(record.body)} {ids} {_attributes(record)}".rstrip()


def _metric(metric: Any) -> str:
    kind = metric.WhichOneof("data")
    points = len(getattr(metric, kind).data_points) if kind else 0
    return f"  {_plain(metric.name)} {kind or 'empty'} {points} data points {_plain(metric.unit)}".rstrip()


def _attributes(item: Any) -> str:
    return " ".join(f"{_plain(pair.key)}={_value(pair.value)}" for pair in item.attributes)


def _value(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    content = getattr(value, kind)
    if kind in {"array_value", "kvlist_value"}:
        content = MessageToString(content, as_one_line=True, as_utf8=True)
    return _plain(content)


def _plain(content: Any) -> str:
    """Keep a terminal safe: control characters are escaped, long values cut."""
    text = str(content)[: _LONGEST_VALUE + 1]
    text = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


factory = ExporterFactory(
    component_type="debug",
    config=DebugConfig,
    create=DebugExporter,
    signals=frozenset(Signal),
)
