"""The stable semantic conventions of HTTP, unless OTEL_SEMCONV_STABILITY_OPT_IN says otherwise."""

import os
from typing import Any

from opentelemetry.instrumentation._semconv import (
    OTEL_SEMCONV_STABILITY_OPT_IN,
    _OpenTelemetrySemanticConventionStability,  # pyright: ignore[reportPrivateUsage] - the instrumentations read it there
)

__all__ = ["prefer_stable"]


def prefer_stable() -> None:
    """Let the instrumentations speak http.request.method, not http.method; without effect after the first of them."""
    if OTEL_SEMCONV_STABILITY_OPT_IN in os.environ:
        return
    choice: Any = _OpenTelemetrySemanticConventionStability
    os.environ[OTEL_SEMCONV_STABILITY_OPT_IN] = "http"
    try:
        choice._initialize()  # noqa: SLF001 - they all call it; the first time it reads the variable
    finally:
        del os.environ[OTEL_SEMCONV_STABILITY_OPT_IN]  # programs that we start choose for themselves
