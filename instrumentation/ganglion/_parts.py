"""Our own instrumentation, which `ganglion.configure` and the distribution put in place."""

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import wrapt

from ganglion import _baggage, _threads, logs
from ganglion._settings import Settings

__all__ = ["install_parts"]

_logger = logging.getLogger("ganglion")

_INSTRUMENTORS = {
    "fastapi": ("GanglionFastAPIInstrumentor", ("fastapi", "opentelemetry.instrumentation.fastapi")),
    "langsmith": ("LangSmithInstrumentor", ("langsmith",)),
}
"""By library, which is also the name of our module for it: the instrumentor's class, and what must be installed."""


def install_parts(settings: Settings, resource: Mapping[str, Any]) -> None:
    """Install logs, the handing over of context, and instrumentors that wait for the import of their libraries.

    They are no entry points, so another distribution that runs where Ganglion is installed stays as it is.
    `resource` tells each log where it comes from.
    """
    _threads.install()
    _baggage.install(settings.baggage_origins, trust=settings.trust_baggage)
    logs.install(
        level=settings.log_level,
        log_format=settings.log_format,
        origin={
            "environment": resource.get("deployment.environment.name"),
            "version": resource.get("service.version"),
            "host": resource.get("host.name"),
        },
        capture_warnings=settings.capture_warnings,
    )
    disabled = {name.strip() for name in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    for library, (instrumentor, needed) in _INSTRUMENTORS.items():
        if not {"*", library} & disabled and all(map(_is_installed, needed)):
            _instrument_when_imported(library, instrumentor)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False  # not even the package that it would be in


def _instrument_when_imported(library: str, instrumentor: str) -> None:
    # Two steps, because the service may import our module itself, and the library by it.
    ours = f"ganglion.{library}"
    instrument: Callable[[Any], None] = partial(_guarded, lambda module: getattr(module, instrumentor)().instrument())
    wrapt.register_post_import_hook(instrument, ours)
    load: Callable[[Any], None] = partial(_guarded, lambda _: import_module(ours))
    wrapt.register_post_import_hook(load, library)


def _guarded(call: Callable[[Any], object], module: Any) -> None:
    try:
        call(module)
    except Exception:
        # This runs within the service's own import of the library.
        _logger.exception("Instrumentation failed with %s; it is left out", module.__name__)
