"""Which exporters the settings ask for, and with what they are made; all else they read from OTEL_* themselves."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any
from weakref import WeakMethod

from ganglion._settings import Protocol, Settings

__all__ = ["default_exporters", "exporter_arguments"]

_SIGNALS = ("traces", "metrics", "logs")
_DEFAULT: Protocol = "grpc"
_NAMES: Mapping[Protocol, str] = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_CLASSES: Mapping[Protocol, Mapping[str, tuple[str, str]]] = {
    "grpc": {
        "traces": ("opentelemetry.exporter.otlp.proto.grpc.trace_exporter", "OTLPSpanExporter"),
        "metrics": ("opentelemetry.exporter.otlp.proto.grpc.metric_exporter", "OTLPMetricExporter"),
        "logs": ("opentelemetry.exporter.otlp.proto.grpc._log_exporter", "OTLPLogExporter"),
    },
    "http/protobuf": {
        "traces": ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "OTLPSpanExporter"),
        "metrics": ("opentelemetry.exporter.otlp.proto.http.metric_exporter", "OTLPMetricExporter"),
        "logs": ("opentelemetry.exporter.otlp.proto.http._log_exporter", "OTLPLogExporter"),
    },
}


def default_exporters(signal: str, settings: Settings, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the exporters of a signal that its variable does not name: OTLP, by the specification's default."""
    if environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip():
        return []
    return [_NAMES[_protocol(signal, settings, environ)]]


def exporter_arguments(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[type[Any], dict[str, Any]]:
    """Return the arguments of each OTLP exporter that is in use."""
    made: dict[type[Any], dict[str, Any]] = {}
    for signal in _SIGNALS:
        if environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip() in {"none", "console"}:
            continue  # nothing of OTLP needs to be imported
        protocol = _protocol(signal, settings, environ)
        module, name = _CLASSES[protocol][signal]
        made[getattr(import_module(module), name)] = _arguments(signal, protocol, settings, environ)
    return made


def _protocol(signal: str, settings: Settings, environ: Mapping[str, str]) -> Protocol:
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "").strip()
    for protocol in _NAMES:
        if protocol == own:
            return protocol
    return settings.protocol or _DEFAULT


def _arguments(signal: str, protocol: Protocol, settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    variables = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    if settings.endpoint is not None and not any(environ.get(name, "").strip() for name in variables):
        path = f"/v1/{signal}" if protocol == "http/protobuf" else ""
        arguments["endpoint"] = settings.endpoint.rstrip("/") + path
    if protocol == "http/protobuf" and not any("CREDENTIAL_PROVIDER" in name for name in environ):
        arguments["session"] = _session()
    return arguments


def _session() -> object:
    """Return an HTTP session whose connections a forked child does not share with its parent."""
    from requests import Session  # noqa: PLC0415 - only for OTLP over HTTP
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    class ForkSafeSession(Session):
        def connect_again(self) -> None:
            for prefix in ("http://", "https://"):
                self.mount(prefix, HTTPAdapter())

    session = ForkSafeSession()
    if hasattr(os, "register_at_fork"):
        again = WeakMethod(session.connect_again)
        os.register_at_fork(after_in_child=lambda: (method := again()) and method())
    return session
