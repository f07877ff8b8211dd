"""LangSmith's `@traceable` functions and runs as spans of the OpenTelemetry trace they run in.

Nothing of langsmith is imported here: its modules are changed when the service imports them, or at once if it has.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined] # not checked there

__all__ = ["LangSmithInstrumentor"]

_SUPPORTED = ("langsmith >= 0.11, < 1",)


class LangSmithInstrumentor(BaseInstrumentor):  # type: ignore[misc] # for the same reason
    """Make every traced LangSmith run a live span: current while the run's code runs, ended when the run ends.

    `instrument(tracer_provider=...)` uses that provider instead of the global one. Safe before and after the service
    imports langsmith, and twice. An unsupported langsmith is named in a warning and left as it is.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        return _SUPPORTED

    def _instrument(self, **kwargs: Any) -> None:
        from ganglion._langsmith_hooks import Hooks  # noqa: PLC0415 - only where langsmith is installed

        provider: trace.TracerProvider | None = kwargs.get("tracer_provider")
        self._hooks = Hooks(provider)
        self._hooks.install()

    def _uninstrument(self, **_: Any) -> None:
        self._hooks.remove()
