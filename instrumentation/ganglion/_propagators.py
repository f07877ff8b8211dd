"""OTEL_PROPAGATORS that cannot be had: without this no module of OpenTelemetry that propagates could be imported."""

import logging
import os
from importlib import import_module

__all__ = ["load"]

_logger = logging.getLogger("ganglion")

_VARIABLE = "OTEL_PROPAGATORS"


def load() -> None:
    """Load the propagators that the variable names; those of the specification if that fails, with a warning.

    OpenTelemetry loads them when `opentelemetry.propagate` is imported, and lets that fail.
    """
    try:
        import_module("opentelemetry.propagate")
    except Exception as error:  # noqa: BLE001 - a name that is not installed, or whatever a foreign propagator raises
        named = os.environ.pop(_VARIABLE)
        _logger.warning("%s is ignored: %r: %s Instead: tracecontext,baggage", _VARIABLE, named, error)
        try:
            import_module("opentelemetry.propagate")
        finally:
            os.environ[_VARIABLE] = named
