"""Where langsmith is changed: a run's start and end, what is current meanwhile, and its exceptions.

langsmith makes its spans after the fact, in a thread of its own. What runs inside a run then has a parent that is never
exported. Here the span is started and ended where the run is, and langsmith's own exporter is silent.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

import wrapt
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, unwrap  # pyright: ignore[reportMissingTypeStubs]

from ganglion._langsmith_attributes import RunAttributes
from ganglion._langsmith_spans import RunSpans

__all__ = ["Hooks"]

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]

_logger = logging.getLogger("ganglion.langsmith")
_run_tree: ContextVar[Any] = ContextVar("ganglion_run_tree", default=None)

# What of langsmith is used beyond its public names. All of it must be there, or nothing is changed.
_SEAMS = {
    "langsmith.client": ("Client._create_run", "Client._update_run", "Client.tracing_mode"),
    "langsmith.run_trees": ("RunTree.post", "RunTree.patch"),
    "langsmith.run_helpers": (
        "_setup_run",
        "_container_end",
        "_maybe_create_otel_context",
        "_set_tracing_context",
        "get_current_run_tree",
        "trace.__enter__",
        "trace.__exit__",
        "trace.__aexit__",
    ),
}
_EXPORTER = "langsmith._internal.otel._otel_exporter"
_MODES = ("TRACING_MODE", "OTEL_ENABLED", "OTEL_ONLY")
_CREDENTIALS = ("API_KEY", "ENDPOINT", "RUNS_ENDPOINTS", "PROFILE")

# An upload of runs, and what the client asks before it; what else a service asks LangSmith is its own.
_UPLOAD = re.compile(
    r"GET .*/info|POST (?!.*/datasets/).*/runs(?:/batch|/multipart)?|PATCH (?!.*/annotation-queues/).*/runs/[^/]+"
)


class Hooks:
    """Change langsmith's modules as each is imported; one found different from what is known undoes all."""

    def __init__(self, provider: trace.TracerProvider | None) -> None:
        self._provider = provider
        self._tracer_of: tuple[trace.TracerProvider, trace.Tracer] | None = None
        self._wrapped: list[tuple[Any, str]] = []
        self._installed = False

    def install(self) -> None:
        self._installed = True
        for module, change in (
            ("langsmith.client", self._change_client),
            ("langsmith.run_trees", self._change_run_trees),
            ("langsmith.run_helpers", self._change_run_helpers),
        ):
            wrapt.register_post_import_hook(self._when_known(change), module)

    def remove(self) -> None:
        """Make langsmith what it was. A module imported later stays as it is too."""
        self._installed = False
        while self._wrapped:
            owner, name = self._wrapped.pop()
            unwrap(owner, name)

    def _tracer(self) -> trace.Tracer:
        provider = self._provider or trace.get_tracer_provider()
        if self._tracer_of is None or self._tracer_of[0] is not provider:
            self._tracer_of = provider, provider.get_tracer("langsmith", version("langsmith"))
        return self._tracer_of[1]

    def _when_known(self, change: Callable[[Any], None]) -> Callable[[ModuleType], None]:
        def changed(module: ModuleType) -> None:
            if not self._installed:
                return
            try:
                _expect(module)
                change(module)
            except (AttributeError, ImportError) as error:
                self.remove()
                unknown = "langsmith %s is not known to Ganglion (%s): its runs are left as they are"
                _logger.warning(unknown, version("langsmith"), error)

        return changed

    def _wrap(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        wrapt.wrap_function_wrapper(owner, name, wrapper)
        self._wrapped.append((owner, name))

    def _change_client(self, module: Any) -> None:
        self._runs = RunSpans(self._tracer, RunAttributes())
        self._wrap(module.Client, "__init__", _choose_mode)
        self._wrap(module.Client, "_create_run", self._create_run)
        self._wrap(module.Client, "_update_run", self._update_run)
        if hasattr(module.Client, "request_with_retries"):
            self._wrap(module.Client, "request_with_retries", _without_span)
        self._wrap(import_module(_EXPORTER).OTELExporter, "export_batch", _nothing)

    def _change_run_trees(self, module: Any) -> None:
        self._wrap(module.RunTree, "post", _as_sender)
        self._wrap(module.RunTree, "patch", _as_sender)

    def _change_run_helpers(self, module: Any) -> None:
        self._current_run = module.get_current_run_tree
        self._wrap(module, "_setup_run", self._setup_run)
        self._wrap(module, "_container_end", self._container_end)
        self._wrap(module, "_maybe_create_otel_context", _nothing)
        self._wrap(module, "_set_tracing_context", self._then_follow)
        self._wrap(module.trace, "__enter__", self._then_follow)
        self._wrap(module.trace, "__exit__", self._exit)
        self._wrap(module.trace, "__aexit__", self._exit)

    def _create_run(
        self, wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        _guard(self._start, *args)
        return None if client.tracing_mode == "otel" else wrapped(*args, **kwargs)

    def _update_run(
        self, wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        _guard(self._finish, *args)
        return None if client.tracing_mode == "otel" else wrapped(*args, **kwargs)

    def _start(self, run: Mapping[str, Any]) -> None:
        self._runs.start(_own(run), _run_tree.get())

    def _finish(self, run: Mapping[str, Any]) -> None:
        self._runs.finish(_own(run))

    def _setup_run(self, wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the run's span current in the context in which its function will run."""
        container = wrapped(*args, **kwargs)
        if (run := container.get("new_run")) is not None:
            _guard(container["context"].run, self._runs.enter, run.id)
        return container

    def _container_end(self, wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        _guard(self._note_error, *args, **kwargs)
        return wrapped(*args, **kwargs)

    def _note_error(
        self, container: Mapping[str, Any], outputs: object = None, error: BaseException | None = None
    ) -> None:
        del outputs
        run = container.get("new_run")
        if run is not None and error is not None:
            self._runs.fail(run.id, error)

    def _then_follow(self, wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = wrapped(*args, **kwargs)
        _guard(self._follow)
        return result

    def _follow(self) -> None:
        run = self._current_run()
        self._runs.follow(None if run is None else run.id)

    def _exit(self, wrapped: Callable[..., Any], block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        error = args[1] if len(args) > 1 else None
        if error is not None and block.new_run is not None:
            _guard(self._runs.fail, block.new_run.id, error)
        return wrapped(*args, **kwargs)


def _expect(module: ModuleType) -> None:
    """Raise AttributeError if one of the names that we use is not there."""
    for path in _SEAMS[module.__name__]:
        found: Any = module
        for name in path.split("."):
            found = getattr(found, name)


def _guard(call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    try:
        call(*args, **kwargs)
    except Exception:  # whatever is wrong with a span, the service's own call goes on
        _logger.warning("A LangSmith run has no or an incomplete span", exc_info=True)


def _nothing(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Take the place of what langsmith would do for OpenTelemetry by itself."""


def _as_sender(wrapped: Callable[..., Any], run_tree: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Say whose run the client is about to get."""
    token = _run_tree.set(run_tree)
    try:
        return wrapped(*args, **kwargs)
    finally:
        _run_tree.reset(token)


def _own(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the copies of a run for several projects the ids of the run itself: they are one span."""
    tree = _run_tree.get()
    if tree is None or not getattr(tree, "replicas", None):
        return run
    return {
        **run,
        "id": tree.id,
        "trace_id": tree.trace_id,
        "parent_run_id": tree.parent_run_id,
        "dotted_order": tree.dotted_order,
    }


def _choose_mode(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Keep a new client from setting a global tracer provider, and from sending where it could not.

    Without a mode, a key and an endpoint, the runs go only into the OpenTelemetry trace.
    """
    settings = {**kwargs, "otel_tracer_provider": kwargs.get("otel_tracer_provider") or trace.NoOpTracerProvider()}
    chosen = kwargs.keys() & {"tracing_mode", "otel_enabled", "api_key", "api_url", "api_urls", "profile"}
    if not (args or chosen or _in_environment(*_MODES, *_CREDENTIALS)):
        settings["tracing_mode"] = "otel"
    return wrapped(*args, **settings)


def _without_span(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Upload runs without spans of the HTTP client, each of which would be a trace of its own."""
    request = [*args, *(kwargs[name] for name in ("method", "pathname") if name in kwargs)]
    if not _UPLOAD.fullmatch(" ".join(map(str, request[:2]))):
        return wrapped(*args, **kwargs)
    with suppress_http_instrumentation():
        return wrapped(*args, **kwargs)


def _in_environment(*names: str) -> bool:
    return any(os.environ.get(f"{prefix}_{name}") for prefix in ("LANGSMITH", "LANGCHAIN") for name in names)
