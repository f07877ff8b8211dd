"""LangSmith traced into memory: `traced` is the service's provider with everything that it exported."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@dataclass
class Trace:
    """The service's provider and what it exported."""

    provider: TracerProvider
    exporter: InMemorySpanExporter

    @property
    def tracer(self) -> trace.Tracer:
        return self.provider.get_tracer("service")

    @property
    def names(self) -> set[str]:
        return {span.name for span in self.exporter.get_finished_spans()}

    def one(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return span

    def attributes(self, name: str) -> dict[str, Any]:
        return dict(self.one(name).attributes or {})

    def child(self, child: str, parent: str) -> bool:
        """Tell whether one is the other's child, in the same trace."""
        above, below = self.one(parent), self.one(child)
        if below.parent is None:
            return False
        return (below.parent.span_id, below.parent.trace_id) == (above.context.span_id, above.context.trace_id)


class LangSmithEnvironment:
    """Variables that langsmith, which remembers them, finds anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(f"LANGSMITH_{name}", value)
        self.forget()

    def forget(self) -> None:
        from langsmith import utils
        from langsmith.run_trees import configure

        for cached in (utils.get_env_var, utils.get_tracer_project):
            cast("Any", cached).cache_clear()
        configure(client=None)


@pytest.fixture
def langsmith_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[LangSmithEnvironment]:
    for name in [name for name in os.environ if name.startswith(("LANGSMITH_", "LANGCHAIN_"))]:
        monkeypatch.delenv(name)
    environment = LangSmithEnvironment(monkeypatch)
    environment.set(TRACING="true", TRACING_MODE="otel", PROJECT="library")
    yield environment
    monkeypatch.undo()
    environment.forget()


@pytest.fixture
def traced(langsmith_environment: LangSmithEnvironment) -> Iterator[Trace]:  # noqa: ARG001 - it comes first
    from ganglion.langsmith import LangSmithInstrumentor

    provider = TracerProvider()
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = LangSmithInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield Trace(provider, exporter)
    instrumentor.uninstrument()
    provider.shutdown()


class Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing it waits for what its handlers still do


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Yield the address; when the block is over, every handler is."""
    with Server(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
