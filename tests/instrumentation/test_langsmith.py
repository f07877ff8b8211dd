"""LangSmith's runs and other spans nest in one trace, whatever runs inside what."""

import asyncio
import contextvars
import gc
import json
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.request import Request, urlopen

import langsmith
from langsmith import RunTree, get_current_run_tree, traceable, tracing_context
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.trace import StatusCode

from tests.fix_langsmith import LangSmithEnvironment, Trace, serving


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


def test_block_for_an_outer_run_inside_an_inner_one(traced: Trace) -> None:
    with langsmith.trace("outer") as outer:
        with langsmith.trace("inner"), traced.tracer.start_as_current_span("native"):
            with tracing_context(parent=outer):
                traced.tracer.start_span("beside").end()
            traceable(name="leaf")(lambda: None)()
        traced.tracer.start_span("after").end()
    assert traced.child("inner", "outer")
    assert traced.child("beside", "outer")
    assert traced.child("leaf", "inner")
    assert traced.child("after", "outer")


def test_blocks_that_never_end_keep_a_bounded_past(traced: Trace) -> None:
    past: list[weakref.ref[Any]] = []

    def enter_many() -> None:
        for _ in range(400):
            langsmith.trace("step").__enter__()
            past.append(weakref.ref(trace.get_current_span()))

    with traced.tracer.start_as_current_span("request"):
        context = contextvars.copy_context()
        context.run(enter_many)
    gc.collect()
    assert past[0]() is None
    assert context.run(trace.get_current_span) is past[-1]()


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
    assert json.loads(traced.attributes("stream")["gen_ai.completion"]) == {"sum": 3}


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
    assert json.loads(traced.attributes("child")["gen_ai.completion"]) == {"found": 3}
    assert not trace.get_current_span().get_span_context().is_valid


def test_whole_tree_posted_at_once_when_it_is_over(traced: Trace) -> None:
    root = RunTree(name="root")
    child = root.create_child("child")
    child.end(outputs={"a": 1})
    root.end(outputs={"b": 2})
    root.post(exclude_child_runs=False)
    assert traced.child("child", "root")
    assert json.loads(traced.attributes("root")["gen_ai.completion"]) == {"b": 2}


def test_client_without_a_run_tree(traced: Trace) -> None:
    client = langsmith.Client()
    run_id = langsmith.uuid7()
    client.create_run("step", {"a": 1}, "chain", id=run_id)
    client.update_run(run_id, outputs={"b": 2})
    assert traced.attributes("step")["langsmith.span.id"] == str(run_id)


def test_run_for_two_projects_is_one_span(traced: Trace) -> None:
    run = RunTree(name="step", replicas=[{"project_name": "one"}, {"project_name": "two"}])
    run.post()
    run.end()
    run.patch()
    assert traced.attributes("step")["langsmith.span.id"] == str(run.id)


def test_run_that_nobody_finishes_ends_when_the_next_begins(traced: Trace) -> None:
    run = RunTree(name="lost")
    run.post()
    assert traced.names == set()
    del run
    gc.collect()
    RunTree(name="next").post()
    assert traced.attributes("lost")["langsmith.metadata.unfinished"] is True


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


def test_what_langsmith_uploads_is_no_span_and_what_a_service_asks_it_is(
    traced: Trace, langsmith_environment: LangSmithEnvironment
) -> None:
    requests: list[str] = []

    class LangSmith(BaseHTTPRequestHandler):
        def answer(self) -> None:
            requests.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"[]" if self.path.startswith("/sessions") else b"{}")

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    instrumentor = RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=traced.provider)
    try:
        with serving(LangSmith) as url:
            langsmith_environment.set(TRACING_MODE="langsmith", ENDPOINT=url, API_KEY="key")
            client = langsmith.Client()
            with tracing_context(client=client):
                traceable(name="in the background")(lambda: None)()
            client.flush()
            at_once = langsmith.Client(auto_batch_tracing=False)
            run = RunTree(name="at once", ls_client=at_once)
            run.post()
            run.patch()
            assert {one.split()[0] for one in requests} == {"GET", "POST", "PATCH"}
            assert traced.names == {"in the background", "at once"}
            assert list(client.list_projects()) == []
            assert traced.names == {"in the background", "at once", "GET"}
            client.close()
            at_once.close()
    finally:
        instrumentor.uninstrument()


def test_without_tracing_there_is_no_span(traced: Trace, langsmith_environment: LangSmithEnvironment) -> None:
    langsmith_environment.set(TRACING="false")

    @traceable
    def answer() -> trace.Span:
        return trace.get_current_span()

    with traced.tracer.start_as_current_span("request") as request:
        assert answer() is request
    assert traced.names == {"request"}


def test_sampled_out_by_langsmith_is_no_span(traced: Trace, langsmith_environment: LangSmithEnvironment) -> None:
    langsmith_environment.set(TRACING_SAMPLING_RATE="0")

    @traceable
    def answer() -> None:
        with traced.tracer.start_as_current_span("native"):
            pass

    with traced.tracer.start_as_current_span("request"):
        answer()
    assert traced.child("native", "request")
    assert traced.names == {"native", "request"}
