"""Ganglion: what a service installs to be observable.

Importing this imports nothing else: every name below is fetched from its module when it is first used. Only where
OTEL_PROPAGATORS names some that OpenTelemetry does not bring, they are loaded.
"""

import os
import sys
from types import ModuleType

TYPE_CHECKING = False  # as type checkers know it, without the import of typing
if TYPE_CHECKING:
    from ganglion import fastapi, langsmith, rag, testing
    from ganglion._configure import configure, flush, shutdown
    from ganglion.context import bind, bound, context, unbind
    from ganglion.links import current_trace_id, trace_url
    from ganglion.logs import get_logger
    from ganglion.spans import trace_span, traced

__all__ = [
    "__version__",
    "bind",
    "bound",
    "configure",
    "context",
    "current_trace_id",
    "fastapi",
    "flush",
    "get_logger",
    "langsmith",
    "rag",
    "shutdown",
    "testing",
    "trace_span",
    "trace_url",
    "traced",
    "unbind",
]

__version__ = "0.1.0"

_MODULES = {
    "bind": "ganglion.context",
    "bound": "ganglion.context",
    "configure": "ganglion._configure",
    "context": "ganglion.context",
    "current_trace_id": "ganglion.links",
    "flush": "ganglion._configure",
    "get_logger": "ganglion.logs",
    "shutdown": "ganglion._configure",
    "trace_span": "ganglion.spans",
    "trace_url": "ganglion.links",
    "traced": "ganglion.spans",
    "unbind": "ganglion.context",
}


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # Importing ganglion.context sets this attribute to the module; the public name is the function in it.
        if name in _MODULES and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - not paid by who only imports ganglion

    if name in _MODULES:
        value: object = getattr(import_module(_MODULES[name]), name)
    elif name in __all__:
        value = import_module(f"ganglion.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not {name.strip() for name in os.environ.get("OTEL_PROPAGATORS", "").split(",")} <= {"", "tracecontext", "baggage"}:
    from ganglion._propagators import load

    load()
    del load
