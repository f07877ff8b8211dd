"""What users of the public interface write; it only has to type-check (mypy, strict)."""

from collections.abc import Mapping
from typing import Literal, assert_type

from ganglion_collector import config
from ganglion_collector.component import (
    Batch,
    Exporter,
    ExporterConfig,
    ExporterFactory,
    KeepsPosition,
    Position,
    Record,
    Signal,
    Source,
)
from ganglion_collector.errors import InvalidConfigError, PartialSuccess, PermanentError, RetryableError
from ganglion_collector.otlp import Request
from ganglion_collector.testing import Answer, FlakyExporter, MemoryExporter, OTLPSink, make_batch, make_request
from ganglion_exporters import debug, otlp_grpc, otlp_http


class OwnConfig(ExporterConfig):
    """Configuration of an exporter in one file."""

    mode: Literal["plain", "fancy"] = "plain"
    """How it looks."""


class OwnExporter:
    """Meets the protocol without a base class, and keeps its position."""

    def __init__(self, config: OwnConfig) -> None:
        self._positions: dict[Source, Position] = {}
        assert_type(config.mode, Literal["plain", "fancy"])
        assert_type(config.timeout, float)

    async def start(self) -> None: ...

    async def export(self, batch: Batch) -> PartialSuccess | None:
        for record in batch.records:
            assert_type(record, Record)
        for request in batch.requests():
            assert_type(request, Request)
        if batch.item_count > 1:
            raise PermanentError("too many", divisible=True)
        if batch.size_bytes > 1:
            raise RetryableError("busy", retry_after=1.5)
        self._positions[batch.source] = batch.end
        return PartialSuccess(rejected=0, message="all well")

    async def position(self, source: Source) -> Position | None:
        return self._positions.get(source)

    async def shutdown(self) -> None: ...


factory = ExporterFactory(
    component_type="own", config=OwnConfig, create=OwnExporter, signals=frozenset({Signal.LOGS, Signal.TRACES})
)
assert_type(factory, ExporterFactory[OwnConfig])


def exporters() -> list[Exporter]:
    own = OwnExporter(OwnConfig(mode="fancy"))
    keeper: KeepsPosition = own
    assert isinstance(keeper, KeepsPosition)
    return [
        own,
        debug.DebugExporter(debug.DebugConfig(verbosity="detailed")),
        otlp_grpc.OTLPGRPCExporter(otlp_grpc.OTLPGRPCConfig(endpoint="localhost:4317")),
        otlp_http.OTLPHTTPExporter(otlp_http.OTLPHTTPConfig(endpoint="http://localhost:4318")),
        FlakyExporter(MemoryExporter(), error_rate=0.1, lose_answers=True, poison=lambda record: not record.payload),
    ]


async def a_test_of_ones_own() -> None:
    async with OTLPSink(otherwise=Answer(http_status=503)) as sink:
        received = await sink.received(1, timeout=2.0)
        assert_type(received[0].parsed(), Request)
    assert_type(make_batch(make_request(Signal.LOGS, "hello")).split(), tuple[Batch, Batch])


def a_configuration(environ: Mapping[str, str]) -> tuple[str, ...]:
    try:
        loaded = config.load(["otel-collector.yaml"], sets=["exporters::prometheus::max_series=1000"], environ=environ)
    except InvalidConfigError as invalid:
        return tuple(f"{error.path}: {error.reason}; {error.hint}" for error in invalid.errors)
    return loaded.warnings
