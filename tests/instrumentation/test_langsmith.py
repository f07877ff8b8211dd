"""LangSmith's runs in the OpenTelemetry trace: real langsmith, real spans in memory, a server of our own."""

import asyncio
import contextvars
import gc
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast
from urllib.request import Request, urlopen
from uuid import UUID

import langsmith
import pytest
from ganglion.langsmith import LangSmithInstrumentor
from langsmith import RunTree, get_current_run_tree, traceable, tracing_context
from langsmith import utils as langsmith_utils
from langsmith.run_trees import configure
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode


@dataclass
class Trace:
    """The service's provider and what it exported."""

    provider: TracerProvider
    exporter: InMemorySpanExporter

    @property
    def tracer(self) -> trace.Tracer:
        return self.provider.get_tracer("service")

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def one(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return span

    def child(self, child: str, parent: str) -> bool:
        """Tell whether one is the other's child, in the same trace."""
        above, below = self.one(parent), self.one(child)
        if below.parent is None:
            return False
        return (below.parent.span_id, below.parent.trace_id) == (above.context.span_id, above.context.trace_id)


def forget_environment() -> None:
    for cached in (langsmith_utils.get_env_var, langsmith_utils.get_tracer_project):
        cast("Any", cached).cache_clear()
    configure(client=None)


@pytest.fixture(autouse=True)
def langsmith_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in [name for name in os.environ if name.startswith(("LANGSMITH_", "LANGCHAIN_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_TRACING_MODE", "otel")
    monkeypatch.setenv("LANGSMITH_PROJECT", "library")
    forget_environment()
    yield monkeypatch
    monkeypatch.undo()
    forget_environment()


@pytest.fixture
def traced() -> Iterator[Trace]:
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


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_native_span_inside_a_traceable_is_its_child(traced: Trace) -> None:
    @traceable
    def answer() -> None:
        with traced.tracer.start_as_current_span("search"):
            pass

    answer()
    assert traced.child("search", "answer")
    assert traced.one("answer").parent is None


def test_traceable_inside_a_native_span_inside_a_traceable(traced: Trace) -> None:
    @traceable(run_type="retriever")
    def search() -> None: ...

    @traceable
    def answer() -> None:
        with traced.tracer.start_as_current_span("layer"):
            search()

    with traced.tracer.start_as_current_span("request"):
        answer()
    assert traced.child("answer", "request")
    assert traced.child("layer", "answer")
    assert traced.child("search", "layer")


def test_ids_of_the_run_are_on_its_span(traced: Trace) -> None:
    runs: list[RunTree] = []

    def remember() -> None:
        run = get_current_run_tree()
        assert run is not None
        runs.append(run)

    @traceable(run_type="tool")
    def inner() -> None:
        remember()

    @traceable
    def outer() -> None:
        remember()
        inner()

    outer()
    root, child = runs
    assert attributes(traced.one("inner")) | {
        "langsmith.span.id": str(child.id),
        "langsmith.trace.id": str(root.id),
        "langsmith.span.parent_id": str(root.id),
        "langsmith.span.dotted_order": child.dotted_order,
        "langsmith.span.kind": "tool",
        "langsmith.trace.name": "inner",
        "langsmith.trace.session_name": "library",
    } == attributes(traced.one("inner"))
    assert attributes(traced.one("outer"))["langsmith.trace.id"] == str(root.id)
    assert "langsmith.span.parent_id" not in attributes(traced.one("outer"))


def test_times_are_those_of_the_run_and_inside_the_parents(traced: Trace) -> None:
    @traceable
    def answer() -> None: ...

    for _ in range(20):
        with traced.tracer.start_as_current_span("request"):
            answer()
    ended = traced.exporter.get_finished_spans()
    for run, request in zip(ended[::2], ended[1::2], strict=True):
        assert run.start_time is not None
        assert request.start_time is not None
        assert run.start_time >= request.start_time
        milliseconds = UUID(attributes(run)["langsmith.span.id"]).int >> 80
        assert run.start_time // 1_000_000 == milliseconds


def test_inputs_outputs_usage_metadata_and_tags(traced: Trace) -> None:
    @traceable(
        run_type="llm",
        tags=["fast"],
        metadata={"ls_provider": "openai", "ls_model_name": "gpt-4o-mini", "nested": {"a": 1}},
    )
    def chat(messages: list[dict[str, str]], model: str) -> dict[str, Any]:
        messages.append({"role": "assistant", "content": f"changed by {model}"})
        usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
        return {"messages": [{"role": "assistant", "content": "Hi"}], "usage_metadata": usage}

    chat([{"role": "user", "content": "what?"}], model="gpt-4o-mini")
    found = attributes(traced.one("chat"))
    assert json.loads(found["gen_ai.prompt"])["messages"] == [{"role": "user", "content": "what?"}]
    assert json.loads(found["gen_ai.completion"])["messages"] == [{"role": "assistant", "content": "Hi"}]
    assert found["gen_ai.usage.input_tokens"] == 11
    assert found["gen_ai.usage.output_tokens"] == 7
    assert found["gen_ai.request.model"] == "gpt-4o-mini"
    assert found["gen_ai.system"] == "openai"
    assert found["gen_ai.operation.name"] == "chat"
    assert found["langsmith.span.tags"] == "fast"
    assert json.loads(found["langsmith.metadata.nested"]) == {"a": 1}
    assert not [name for name in found if name.startswith("langsmith.metadata.LANGSMITH_")]


def test_unknown_model_is_not_said_to_be_langchain(traced: Trace) -> None:
    traceable(name="step")(lambda: None)()
    assert "gen_ai.system" not in attributes(traced.one("step"))


def test_hidden_inputs_stay_hidden(traced: Trace, langsmith_environment: pytest.MonkeyPatch) -> None:
    langsmith_environment.setenv("LANGSMITH_HIDE_INPUTS", "true")
    langsmith_environment.setenv("LANGSMITH_HIDE_OUTPUTS", "true")
    forget_environment()

    @traceable
    def answer(secret: str) -> str:
        return secret

    answer("hunter2")
    assert "hunter2" not in str(attributes(traced.one("answer")))


def test_request_headers_are_no_attribute(traced: Trace) -> None:
    @traceable(run_type="llm", process_inputs=lambda _: {"extra_headers": {"Authorization": "Bearer x"}})
    def chat() -> None: ...

    chat()
    assert "langsmith.request.headers" not in attributes(traced.one("chat"))


def test_exception_is_recorded_once_and_whole(traced: Trace) -> None:
    @traceable
    def fail() -> None:
        raise ValueError("boom\n\nsecond paragraph")

    with pytest.raises(ValueError, match="boom"):
        fail()
    span = traced.one("fail")
    (event,) = span.events
    found = dict(event.attributes or {})
    assert found["exception.type"] == "ValueError"
    assert found["exception.message"] == "boom\n\nsecond paragraph"
    assert str(found["exception.stacktrace"]).count("Traceback (most recent call last)") == 1
    assert span.status.status_code is StatusCode.ERROR
    assert (span.status.description or "").startswith("ValueError: boom")


def test_exception_passes_through_every_level(traced: Trace) -> None:
    @traceable
    async def inner() -> None:
        raise KeyError("id")

    @traceable
    async def outer() -> None:
        with traced.tracer.start_as_current_span("layer"):
            await inner()

    with pytest.raises(KeyError):
        asyncio.run(outer())
    for name in ("inner", "layer", "outer"):
        (event,) = traced.one(name).events
        assert dict(event.attributes or {})["exception.type"] == "KeyError"
        assert traced.one(name).status.status_code is StatusCode.ERROR


def test_error_that_is_only_a_text(traced: Trace) -> None:
    run = RunTree(name="step")
    run.post()
    run.end(error="TimeoutError('no answer')\n\nTraceback (most recent call last): …")
    run.patch()
    (event,) = traced.one("step").events
    assert dict(event.attributes or {}) == {
        "exception.type": "TimeoutError",
        "exception.message": "TimeoutError('no answer')",
        "exception.stacktrace": "Traceback (most recent call last): …",
    }


def test_expected_exception_is_no_error(traced: Trace) -> None:
    @traceable(exceptions_to_handle=(LookupError,))
    def look() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        look()
    assert traced.one("look").status.status_code is StatusCode.UNSET
    assert traced.one("look").events == ()


async def test_sibling_tasks_nest_each_in_its_own_parent(traced: Trace) -> None:
    both = asyncio.Barrier(2)

    @traceable
    async def leaf(name: str) -> None:
        await both.wait()
        with traced.tracer.start_as_current_span(f"native {name}"):
            await both.wait()

    @traceable
    async def root() -> None:
        await asyncio.gather(
            leaf("a", langsmith_extra={"name": "leaf a"}), leaf("b", langsmith_extra={"name": "leaf b"})
        )

    await root()
    for name in ("a", "b"):
        assert traced.child(f"leaf {name}", "root")
        assert traced.child(f"native {name}", f"leaf {name}")


async def test_current_span_is_as_before_after_every_call(traced: Trace) -> None:
    @traceable
    async def step() -> None: ...

    with traced.tracer.start_as_current_span("request") as request:
        await step()
        assert trace.get_current_span() is request
        async with langsmith.trace("block"):
            assert trace.get_current_span() is not request
        assert trace.get_current_span() is request
        with langsmith.trace("outer"), langsmith.trace("inner"), tracing_context(enabled=True):
            await step()
        assert trace.get_current_span() is request


async def test_child_posted_after_its_parent_ended(traced: Trace) -> None:
    parent_ended = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    @traceable
    async def late() -> None:
        with traced.tracer.start_as_current_span("native"):
            pass

    async def background() -> None:
        await parent_ended.wait()
        await late()

    @traceable
    async def parent() -> None:
        tasks.append(asyncio.create_task(background()))

    await parent()
    parent_ended.set()
    await tasks[0]
    assert traced.child("late", "parent")
    assert traced.child("native", "late")


def test_child_of_an_ended_run_without_its_context(traced: Trace) -> None:
    parent = RunTree(name="parent")
    parent.post()
    parent.end()
    parent.patch()
    late = parent.create_child("late")
    late.post()
    late.end()
    late.patch()
    assert traced.child("late", "parent")


def test_generator_is_current_only_while_it_runs(traced: Trace) -> None:
    @traceable(run_type="llm")
    def stream() -> Iterator[str]:
        for token in ("a", "b"):
            with traced.tracer.start_as_current_span(f"token {token}"):
                pass
            yield token

    with traced.tracer.start_as_current_span("request") as request:
        for _ in stream():
            assert trace.get_current_span() is request
    assert traced.child("token a", "stream")
    assert traced.child("token b", "stream")
    assert [event.name for event in traced.one("stream").events] == ["new_token"]
    assert "a" not in dict(traced.one("stream").events[0].attributes or {}).values()


async def test_asynchronous_generator(traced: Trace) -> None:
    @traceable
    async def stream() -> AsyncIterator[int]:
        for number in range(2):
            with traced.tracer.start_as_current_span(f"step {number}"):
                await asyncio.sleep(0)
            yield number

    with traced.tracer.start_as_current_span("request"):
        assert [number async for number in stream()] == [0, 1]
    assert traced.child("stream", "request")
    assert traced.child("step 0", "stream")
    assert traced.child("step 1", "stream")


def test_stream_that_the_consumer_leaves_is_no_error(traced: Trace) -> None:
    @traceable
    def stream() -> Iterator[int]:
        yield 1
        yield 2

    generator = stream()
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert traced.one("stream").status.status_code is StatusCode.UNSET
    assert traced.one("stream").events == ()


def test_reduced_stream_ends_with_its_last_item(traced: Trace) -> None:
    def numbers() -> Iterator[int]:
        with traced.tracer.start_as_current_span("native"):
            yield 1
        yield 2

    @traceable(reduce_fn=lambda items: {"sum": sum(items)})
    def stream() -> Iterator[int]:
        return numbers()

    assert list(stream()) == [1, 2]
    assert traced.child("native", "stream")
    assert json.loads(attributes(traced.one("stream"))["gen_ai.completion"]) == {"sum": 3}


def test_thread_with_the_callers_context_and_one_with_only_the_parent(traced: Trace) -> None:
    @traceable
    def leaf() -> None: ...

    @traceable
    def root() -> None:
        run = get_current_run_tree()
        with ThreadPoolExecutor() as pool:
            context = contextvars.copy_context()
            pool.submit(lambda: context.run(leaf, langsmith_extra={"name": "copied"})).result()
            pool.submit(leaf, langsmith_extra={"name": "named", "parent": run}).result()

    root()
    assert traced.child("copied", "root")
    assert traced.child("named", "root")


def test_run_trees_by_hand(traced: Trace) -> None:
    root = RunTree(name="root", inputs={"question": "why?"})
    root.post()
    child = root.create_child("child", run_type="tool")
    child.post()
    with tracing_context(parent=child):
        with traced.tracer.start_as_current_span("native"):
            pass
        traceable(name="leaf")(lambda: None)()
    child.end(outputs={"found": 3})
    child.patch()
    root.end()
    root.patch()
    assert traced.child("child", "root")
    assert traced.child("native", "child")
    assert traced.child("leaf", "child")
    assert json.loads(attributes(traced.one("child"))["gen_ai.completion"]) == {"found": 3}
    assert not trace.get_current_span().get_span_context().is_valid


def test_whole_tree_posted_at_once_when_it_is_over(traced: Trace) -> None:
    root = RunTree(name="root")
    child = root.create_child("child")
    child.end(outputs={"a": 1})
    root.end(outputs={"b": 2})
    root.post(exclude_child_runs=False)
    assert traced.child("child", "root")
    assert json.loads(attributes(traced.one("root"))["gen_ai.completion"]) == {"b": 2}


def test_client_without_a_run_tree(traced: Trace) -> None:
    client = langsmith.Client()
    run_id = langsmith.uuid7()
    client.create_run("step", {"a": 1}, "chain", id=run_id)
    client.update_run(run_id, outputs={"b": 2})
    assert attributes(traced.one("step"))["langsmith.span.id"] == str(run_id)


def test_run_for_two_projects_is_one_span(traced: Trace) -> None:
    run = RunTree(name="step", replicas=[{"project_name": "one"}, {"project_name": "two"}])
    run.post()
    run.end()
    run.patch()
    assert attributes(traced.one("step"))["langsmith.span.id"] == str(run.id)


def test_run_that_nobody_finishes_ends_when_it_is_collected(traced: Trace) -> None:
    run = RunTree(name="lost")
    run.post()
    assert traced.spans == {}
    del run
    gc.collect()
    assert attributes(traced.one("lost"))["langsmith.metadata.unfinished"] is True


def test_traceparent_sent_from_a_traceable_names_an_exported_span(traced: Trace) -> None:
    class Downstream(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parent = propagate.extract({name.lower(): value for name, value in self.headers.items()})
            with traced.tracer.start_as_current_span("downstream", parent):
                self.send_response(204)
                self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    @traceable
    def call(url: str) -> None:
        headers: dict[str, str] = {}
        propagate.inject(headers)
        with urlopen(Request(url, headers=headers)) as response:
            assert response.status == 204

    with serving(Downstream) as url:
        call(url)
    assert traced.child("downstream", "call")


def test_without_tracing_there_is_no_span(traced: Trace, langsmith_environment: pytest.MonkeyPatch) -> None:
    langsmith_environment.setenv("LANGSMITH_TRACING", "false")
    forget_environment()

    @traceable
    def answer() -> trace.Span:
        return trace.get_current_span()

    with traced.tracer.start_as_current_span("request") as request:
        assert answer() is request
    assert list(traced.spans) == ["request"]


def test_sampled_out_by_langsmith_is_no_span(traced: Trace, langsmith_environment: pytest.MonkeyPatch) -> None:
    langsmith_environment.setenv("LANGSMITH_TRACING_SAMPLING_RATE", "0")
    forget_environment()

    @traceable
    def answer() -> None:
        with traced.tracer.start_as_current_span("native"):
            pass

    with traced.tracer.start_as_current_span("request"):
        answer()
    assert traced.child("native", "request")
    assert set(traced.spans) == {"native", "request"}


def test_removed_instrumentation_leaves_langsmith_as_it_was(traced: Trace) -> None:
    LangSmithInstrumentor().uninstrument()
    with tracing_context(enabled="local"):
        traceable(name="step")(lambda: None)()
    assert traced.spans == {}
    assert not hasattr(langsmith.RunTree.post, "__wrapped__")


class Uploads(BaseHTTPRequestHandler):
    """Stands where LangSmith is and counts what reaches it."""

    received: list[str]

    def do_GET(self) -> None:
        self.answer(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.received.append(self.path)
        self.answer(202)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002


@pytest.mark.parametrize(("mode", "uploaded"), [("otel", False), ("hybrid", True), ("langsmith", True)])
def test_only_the_other_modes_upload_and_each_has_one_span(traced: Trace, mode: Any, uploaded: bool) -> None:
    received: list[str] = []
    with serving(type("Handler", (Uploads,), {"received": received})) as url:
        client = langsmith.Client(api_url=url, api_key="none", tracing_mode=mode)
        traceable(name="answer", client=client)(lambda: None)()
        client.flush()
        client.close()
    assert bool([path for path in received if path.startswith("/runs")]) is uploaded
    assert traced.one("answer")


PROGRAM = """
    import sys
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from ganglion.langsmith import LangSmithInstrumentor

    assert not [name for name in sys.modules if name.startswith("langsmith")]

    def configure():
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        return exporter

    def instrument():
        LangSmithInstrumentor().instrument()

    def use():
        global answer
        from langsmith import traceable
        @traceable
        def answer():
            with trace.get_tracer("service").start_as_current_span("native"):
                pass

    {order}
    answer()
    native, run = exporter.get_finished_spans()
    assert native.parent.span_id == run.context.span_id, (native.parent, run.context)
    assert run.name == "answer" and run.parent is None
"""


@pytest.mark.parametrize(
    "order",
    [
        "exporter = configure(); instrument(); use()",
        "use(); exporter = configure(); instrument()",
        "instrument(); use(); import langsmith; langsmith.Client(); exporter = configure()",
        "use(); instrument(); import langsmith; langsmith.Client(); exporter = configure()",
    ],
)
def test_order_of_imports_does_not_matter(order: str) -> None:
    """Without any LANGSMITH_ variable but LANGSMITH_TRACING: no key, so nothing is sent anywhere."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LANGSMITH_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM).format(order=order)],
        env={**environment, "LANGSMITH_TRACING": "true"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
