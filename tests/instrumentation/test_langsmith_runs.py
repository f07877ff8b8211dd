"""What the span of a LangSmith run says, where else the run goes, and what is done to langsmith."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from uuid import UUID

import langsmith
import pytest
from ganglion._langsmith_spans import RunSpans
from ganglion.langsmith import LangSmithInstrumentor
from langsmith import RunTree, get_current_run_tree, traceable, tracing_context
from opentelemetry.trace import StatusCode

from tests.fix_langsmith import LangSmithEnvironment, Trace, serving


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
    assert traced.attributes("inner") | {
        "langsmith.span.id": str(child.id),
        "langsmith.trace.id": str(root.id),
        "langsmith.span.parent_id": str(root.id),
        "langsmith.span.dotted_order": child.dotted_order,
        "langsmith.span.kind": "tool",
        "langsmith.trace.name": "inner",
        "langsmith.trace.session_name": "library",
    } == traced.attributes("inner")
    assert traced.attributes("outer")["langsmith.trace.id"] == str(root.id)
    assert "langsmith.span.parent_id" not in traced.attributes("outer")


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
        milliseconds = UUID(str((run.attributes or {})["langsmith.span.id"])).int >> 80
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
    found = traced.attributes("chat")
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
    assert "gen_ai.system" not in traced.attributes("step")


def test_hidden_inputs_stay_hidden(traced: Trace, langsmith_environment: LangSmithEnvironment) -> None:
    langsmith_environment.set(HIDE_INPUTS="true")
    langsmith_environment.set(HIDE_OUTPUTS="true")

    @traceable
    def answer(secret: str) -> str:
        return secret

    answer("hunter2")
    assert "hunter2" not in str(traced.attributes("answer"))


def test_request_headers_are_no_attribute(traced: Trace) -> None:
    @traceable(run_type="llm", process_inputs=lambda _: {"extra_headers": {"Authorization": "Bearer x"}})
    def chat() -> None: ...

    chat()
    assert "langsmith.request.headers" not in traced.attributes("chat")


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


STACK = "Traceback (most recent call last):\n  File x\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("no answer", ("", "no answer", ""), id="text"),
        pytest.param("no\n\nanswer", ("", "no\n\nanswer", ""), id="paragraphs"),
        pytest.param("OSError('no')", ("OSError", "OSError('no')", ""), id="repr"),
        pytest.param(f"OSError('no')\n\n{STACK}OSError: no", ("OSError", "no", f"{STACK}OSError: no"), id="traceable"),
        pytest.param(f"OSError('no'){STACK}OSError: no", ("OSError", "no", f"{STACK}OSError: no"), id="langchain"),
        pytest.param(f"E('a\\nb'){STACK}lib.E: a\nb\n", ("lib.E", "a\nb", f"{STACK}lib.E: a\nb\n"), id="two lines"),
        pytest.param(f"E('b'){STACK}E: a\n{STACK}E: b", ("E", "b", f"{STACK}E: a\n{STACK}E: b"), id="two exceptions"),
        pytest.param(f"E(){STACK}E\n", ("E", "", f"{STACK}E\n"), id="no message"),
        pytest.param(f"E(){STACK}", ("E", "E()", STACK), id="cut off"),
    ],
)
def test_error_that_is_only_a_text(traced: Trace, text: str, expected: tuple[str, str, str]) -> None:
    run = RunTree(name="step")
    run.post()
    run.end(error=text)
    run.patch()
    (event,) = traced.one("step").events
    found = dict(event.attributes or {})
    names = ("exception.type", "exception.message", "exception.stacktrace")
    assert tuple(found.get(name, "") for name in names) == expected
    assert traced.one("step").status.status_code is StatusCode.ERROR


def test_expected_exception_is_no_error(traced: Trace) -> None:
    @traceable(exceptions_to_handle=(LookupError,))
    def look() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        look()
    assert traced.one("look").status.status_code is StatusCode.UNSET
    assert traced.one("look").events == ()


def test_removed_instrumentation_leaves_langsmith_as_it_was(traced: Trace) -> None:
    LangSmithInstrumentor().uninstrument()
    # A client without a provider would set one for the whole process, which sends to LangSmith.
    client = langsmith.Client(api_key="none", tracing_mode="langsmith", auto_batch_tracing=False)
    with tracing_context(enabled="local", client=client):
        traceable(name="step")(lambda: None)()
    assert traced.names == set()
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
        client = langsmith.Client(api_url=url, api_key="none", tracing_mode=mode, otel_tracer_provider=traced.provider)
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


def run_program(program: str, **environment: str) -> tuple[int, str]:
    """Run a program without any LANGSMITH_ variable but LANGSMITH_TRACING: no key, so nothing is sent anywhere."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LANGSMITH_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={**inherited, "LANGSMITH_TRACING": "true", **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stderr


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
    assert run_program(PROGRAM.format(order=order)) == (0, "")


@pytest.mark.parametrize("configured", ["before", "after"])
def test_configure_is_enough(configured: str) -> None:
    program = f"""
        import ganglion, sys
        if {configured == "before"}:
            ganglion.configure()
            assert "ganglion.langsmith" not in sys.modules
        from langsmith import traceable
        if {configured == "after"}:
            ganglion.configure()

        @traceable
        def answer():
            with ganglion.trace_span("search"):
                pass

        with ganglion.testing.capture() as captured, ganglion.bound(user_id="user-123"):
            answer()
        search, run = captured.spans
        assert search["parent_span_id"] == run["span_id"], captured.spans
        assert run["attributes"]["user.id"] == "user-123"
    """
    exporters = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    assert run_program(program, **exporters) == (0, "")


def test_unsupported_version_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "langsmith-0.3.0.dist-info").mkdir()
    (tmp_path / "langsmith-0.3.0.dist-info" / "METADATA").write_text("Name: langsmith\nVersion: 0.3.0\n")
    program = """
        import sys
        from ganglion.langsmith import LangSmithInstrumentor
        LangSmithInstrumentor().instrument()
        from langsmith import RunTree
        assert not hasattr(RunTree.post, "__wrapped__")
        assert "ganglion._langsmith_hooks" not in sys.modules
    """
    code, said = run_program(program, PYTHONPATH=str(tmp_path))
    assert code == 0
    assert "langsmith >= 0.11" in said
    assert "0.3.0" in said


@pytest.mark.parametrize(
    "missing",
    [
        "langsmith.run_helpers._container_end",
        "langsmith._internal.otel._otel_exporter.OTELExporter._set_span_attributes",
    ],
)
def test_langsmith_that_is_not_what_is_known_is_left_alone(missing: str) -> None:
    program = f"""
        import langsmith._internal.otel._otel_exporter
        from langsmith import RunTree, run_helpers
        del {missing}
        from ganglion.langsmith import LangSmithInstrumentor
        LangSmithInstrumentor().instrument()
        assert not hasattr(RunTree.post, "__wrapped__")
        assert not hasattr(run_helpers._setup_run, "__wrapped__")
    """
    code, said = run_program(program)
    assert code == 0, said
    assert f"has no attribute '{missing.rpartition('.')[2]}'" in said
    assert "is not known to Ganglion" in said


def test_forked_process_does_not_end_the_runs_of_its_parent() -> None:
    program = """
        import gc, os, warnings
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from ganglion.langsmith import LangSmithInstrumentor
        from langsmith import RunTree

        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        LangSmithInstrumentor().instrument(tracer_provider=provider)
        run = RunTree(name="run")
        run.post()
        warnings.simplefilter("ignore", DeprecationWarning)  # langsmith has threads
        child = os.fork()
        if child == 0:
            inner = run.create_child("inner")
            inner.post(); inner.end(); inner.patch()
            del run, inner
            gc.collect()
            (span,) = exporter.get_finished_spans()
            os._exit(0 if span.name == "inner" and span.parent is not None else 1)
        assert os.waitpid(child, 0)[1] == 0
        run.end(); run.patch()
        assert [span.name for span in exporter.get_finished_spans()] == ["run"]
    """
    assert run_program(program) == (0, "")


@pytest.mark.parametrize("imported", ["before", "after"])
def test_run_that_is_open_at_the_end_of_the_process_is_exported(imported: str) -> None:
    program = f"""
        import sys
        sys.stdout = sys.stderr
        import ganglion
        if {imported == "before"}:
            import langsmith.run_helpers
        ganglion.configure()
        from langsmith import RunTree
        run = RunTree(name="still open")
        run.post()
    """
    exporters = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    code, said = run_program(program, **exporters)
    assert code == 0, said
    assert '"name": "still open"' in said
    assert '"langsmith.metadata.unfinished": true' in said


def test_open_spans_are_bounded(traced: Trace) -> None:
    runs = RunSpans(lambda: traced.tracer, lambda _operation, _run: {})
    for number in range(10_001):
        runs.start({"id": UUID(int=number), "name": f"run {number}"}, None)
    assert traced.names == {"run 0"}
    assert traced.attributes("run 0")["langsmith.metadata.unfinished"] is True
