"""Bring the same runs to a LangSmith, by our exporter or by the langsmith SDK's background uploader.

    python -m bench.langsmith_upload ours|sdk URL RUNS FOLDER

Prints a line of JSON: seconds until all were taken, processor seconds of this process, runs. In a process of its own
each time, so that neither has the other's memory or threads.
"""

import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from ganglion_collector.component import Batch, Position, Record, Signal, Source
from ganglion_collector.otlp import item_lists, parse_request
from ganglion_exporters._langsmith.assembly import AssemblySettings, assemble
from ganglion_exporters._langsmith.convert import ConversionSettings, convert
from ganglion_exporters._langsmith.encoding import EncodedRun, EncodingSettings, encode_run
from ganglion_exporters._langsmith.model import Draft
from ganglion_exporters.langsmith import LangSmithConfig, LangSmithExporter
from langsmith import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client import REGISTRY

__all__ = ["SPANS", "encoded", "main", "requests", "trace_groups"]

SPANS = 10
"""Runs of a trace: a chain, retrievers and models below it."""
_TRACES = 50
_MESSAGES = 4
_STARTS = ("br", "ch", "d", "f", "gl", "h", "k", "l", "m", "n")
_ENDS = ("amber", "asalt", "edar", "elta", "ord")
_WORDS = [start + end for start in _STARTS for end in _ENDS]
_PATIENCE = 120.0


def requests(traces: int, first: int = 0) -> Iterator[bytes]:
    """Yield OTLP requests of 50 traces each, of a RAG application: 2 kB of text in a model's span, 1 kB in another."""
    for start in range(first, first + traces, _TRACES):
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = "rag-api"
        spans = group.scope_spans.add().spans
        now, source = time.time_ns() - 10**9, random.Random(start)
        for trace in range(start, min(start + _TRACES, first + traces)):
            trace_id = (0xA5 << 120 | trace).to_bytes(16, "big")
            for number in range(SPANS):
                _fill(spans.add(trace_id=trace_id), source, trace, number, now)
        yield request.SerializeToString()


def _text(source: random.Random, words: int) -> str:
    return " ".join(source.choices(_WORDS, k=words))


def _fill(span: Span, source: random.Random, trace: int, number: int, now: int) -> None:
    span.span_id = (trace * SPANS + number + 1).to_bytes(8, "big")
    span.parent_span_id = (trace * SPANS + 1).to_bytes(8, "big") if number else b""
    span.name = f"step {number}"
    span.start_time_unix_nano, span.end_time_unix_nano = now + number * 10**6, now + (number + 1) * 10**6
    kind = ("chain", "retriever", "llm")[min(number, 1 + number % 2)]
    count = _MESSAGES if kind == "llm" else 1
    prompt = {"messages": [{"role": "user", "content": _text(source, 60)} for _ in range(count)]}
    answer = {"messages": [{"role": "assistant", "content": _text(source, 100)}]}
    given: dict[str, str | int] = {
        "langsmith.span.kind": kind,
        "gen_ai.prompt": json.dumps(prompt),
        "gen_ai.completion": json.dumps(answer),
        "langsmith.metadata.session_id": f"thread-{trace % 100}",
        "langsmith.span.tags": "bench, rag",
    }
    if kind == "llm":
        given |= {"gen_ai.request.model": "gpt-4o-mini", "gen_ai.system": "openai"}
        given |= {"gen_ai.usage.input_tokens": 900 + number, "gen_ai.usage.output_tokens": 120}
    for key, value in given.items():
        held = span.attributes.add(key=key).value
        if isinstance(value, int):
            held.int_value = value
        else:
            held.string_value = value


def trace_groups(payloads: Sequence[bytes]) -> Iterator[tuple[list[Span], Any, Any]]:
    """Yield the spans of each trace with their resource and scope."""
    for payload in payloads:
        request = ExportTraceServiceRequest.FromString(payload)
        for group in request.resource_spans:
            for scoped in group.scope_spans:
                spans = list(scoped.spans)
                for start in range(0, len(spans), SPANS):
                    yield spans[start : start + SPANS], group.resource, scoped.scope


def encoded(payloads: Sequence[bytes]) -> Iterator[list[EncodedRun]]:
    """Yield the runs of each trace: converted, assembled, encoded."""
    conversion, assembly, encoding = ConversionSettings(), AssemblySettings(), EncodingSettings("0" * 32, "bench")
    now = time.time_ns()
    for spans, resource, scope in trace_groups(payloads):
        drafts: list[Draft] = [convert(span, resource, scope, conversion) for span in spans]
        yield [encode_run(run, encoding) for run in assemble(drafts, {}, assembly, now).runs]


@dataclass(frozen=True, slots=True)
class _Upload:
    seconds: float
    processor: float
    runs: int


async def _ours(url: str, payloads: Sequence[bytes], folder: Path) -> _Upload:
    config = LangSmithConfig.model_validate({"endpoint": url, "api_key": "lsv2_bench", "assembly": {"settle": 0}})
    exporter = LangSmithExporter(config)
    exporter.keep_in(folder)
    source, now = Source(UUID(int=1), "traces/langsmith"), time.time_ns()
    await exporter.start()
    try:
        wall, processor, runs = time.perf_counter(), time.process_time(), 0
        for number, payload in enumerate(payloads):
            items = sum(map(len, item_lists(Signal.TRACES, parse_request(Signal.TRACES, payload))))
            record = Record(number, Signal.TRACES, "otlp", now, items, payload)
            await exporter.export(Batch(Signal.TRACES, (record,), source, Position(number), Position(number + 1)))
            runs += items
        async with asyncio.timeout(_PATIENCE):
            while _delivered() < runs:  # noqa: ASYNC110 - nobody tells when LangSmith has all
                await asyncio.sleep(0.005)
        return _Upload(time.perf_counter() - wall, time.process_time() - processor, runs)
    finally:
        await exporter.shutdown()


def _delivered() -> float:
    return REGISTRY.get_sample_value("ganglion_langsmith_runs_total", {"operation": "post"}) or 0.0


def _fields(run: EncodedRun) -> dict[str, Any]:
    """Return what a service would hand to the SDK for this run."""
    main: dict[str, Any] = orjson.loads(run.fields[""])
    main |= {name: orjson.loads(content) for name, content in run.fields.items() if name}
    main |= {"start_time": _datetime(run.run.draft.start), "end_time": _datetime(run.run.draft.end)}
    return {**main, "project_name": main.pop("session_name", "bench")}


def _datetime(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _sdk(url: str, first: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> _Upload:
    failures = list[Exception]()
    client = Client(url, api_key="lsv2_bench", tracing_mode="langsmith", tracing_error_callback=failures.append)
    client.create_run(**first)  # what the first run starts is no run's cost
    client.flush()
    wall, processor = time.perf_counter(), time.process_time()
    for run in runs:
        client.create_run(**run)
    client.flush()
    upload = _Upload(time.perf_counter() - wall, time.process_time() - processor, len(runs))
    client.cleanup()
    if failures:
        raise RuntimeError(f"the SDK failed: {failures[0]!r}")
    return upload


def main() -> None:
    """Upload as the command line says, and print what it cost."""
    who, url, runs, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    logging.basicConfig(level=logging.WARNING)
    payloads = list(requests(runs // SPANS))
    if who == "ours":
        upload = asyncio.run(_ours(url, payloads, folder))
    else:
        (root, *_), *_ = encoded(list(requests(1, first=runs)))
        upload = _sdk(url, _fields(root), [_fields(run) for trace in encoded(payloads) for run in trace])
    print(json.dumps({"seconds": upload.seconds, "processor": upload.processor, "runs": upload.runs}))


if __name__ == "__main__":
    main()
