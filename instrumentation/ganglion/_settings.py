"""What a service may decide about its telemetry: OTEL_* and GANGLION_* variables first, keyword arguments second."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, cast, get_args

__all__ = ["LogFormat", "Protocol", "Settings", "current", "use"]

LogFormat = Literal["json", "console"]
Protocol = Literal["grpc", "http/protobuf"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """All of them, with their defaults.

    A variable of the environment wins over the keyword argument of `ganglion.configure`, so that a deployment can
    change what the code says. `None` leaves a matter to the variables and defaults of the OpenTelemetry specification.
    """

    service_name: str | None = None
    """OTEL_SERVICE_NAME."""
    service_version: str | None = None
    """`service.version` in OTEL_RESOURCE_ATTRIBUTES."""
    environment: str | None = None
    """`deployment.environment.name` in OTEL_RESOURCE_ATTRIBUTES."""
    endpoint: str | None = None
    """OTEL_EXPORTER_OTLP_ENDPOINT: a URL; for HTTP the signal's path is added to it."""
    protocol: Protocol | None = None
    """OTEL_EXPORTER_OTLP_PROTOCOL."""
    log_format: LogFormat | None = None
    """GANGLION_LOG_FORMAT; without it `console` on a terminal, else `json`."""
    log_level: int = logging.INFO
    """GANGLION_LOG_LEVEL: a level's name or number; what is below is neither printed nor sent."""
    capture_warnings: bool = False
    """GANGLION_CAPTURE_WARNINGS: whether Python's warnings become log records."""
    baggage_origins: tuple[str, ...] = ()
    """GANGLION_BAGGAGE_ORIGINS: `scheme://host[:port]` of the services that get bound fields as W3C baggage."""
    trust_baggage: bool = False
    """GANGLION_TRUST_BAGGAGE: whether bound fields are taken from the baggage of incoming requests."""
    session_header: str | None = None
    """GANGLION_SESSION_HEADER: the request header that names the session."""
    tenant_header: str | None = None
    """GANGLION_TENANT_HEADER: the request header that names the tenant."""
    queue_size: int = 20_480
    """OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BLRP_MAX_QUEUE_SIZE: spans and log records that wait for export, each."""
    shutdown_timeout: float = 5.0
    """GANGLION_SHUTDOWN_TIMEOUT: seconds that the end of the process waits until everything is sent."""
    url: str = "http://localhost:8484"
    """GANGLION_URL: where the pages of traces are."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, /, **overrides: object) -> Self:
        """Return the settings of `environ` (default: the process's) on top of `overrides` on top of the defaults.

        A variable that makes no sense is said in a warning and ignored, as the OpenTelemetry specification wants it.

        Raises:
            TypeError: a keyword argument is unknown.
            ValueError: the value of a keyword argument makes no sense.
        """
        unknown = overrides.keys() - _PARSERS.keys()
        if unknown:
            raise TypeError(f"unknown settings: {', '.join(sorted(unknown))}; known: {', '.join(sorted(_PARSERS))}")
        chosen = {name: _argument(name, value) for name, value in overrides.items() if value is not None}
        settings = replace(cls(), **cast("dict[str, Any]", chosen))
        return replace(settings, **cast("dict[str, Any]", _from_variables(os.environ if environ is None else environ)))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text that is not empty")
    return value.strip()


def _choice(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        text = _text(value).lower()
        if text not in choices:
            raise ValueError(f"expected one of: {', '.join(choices)}")
        return text

    return parse


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    return _choice("true", "false")(value) == "true"


def _origins(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, Iterable):
        raise ValueError("expected origins, as in https://api.example.com")
    origins = tuple(_text(origin).rstrip("/").lower() for origin in cast("Iterable[object]", value))
    wrong = [origin for origin in origins if not origin.startswith(("http://", "https://")) or origin.count("/") != 2]
    if wrong:
        raise ValueError(f"expected scheme://host or scheme://host:port, not {', '.join(map(repr, wrong))}")
    return origins


def _level(value: object) -> int:
    if isinstance(value, int):
        return value
    text = _text(value).upper()
    level = int(text) if text.isdigit() else logging.getLevelNamesMapping().get(text)
    if level is None:
        raise ValueError(f"expected a level: {', '.join(logging.getLevelNamesMapping())}")
    return level


def _positive(kind: Callable[[Any], Any]) -> Callable[[object], Any]:
    def parse(value: object) -> Any:
        number = kind(value)
        if not 0 < number < float("inf"):
            raise ValueError("expected a positive number")
        return number

    return parse


_PARSERS: Mapping[str, Callable[[object], object]] = {
    **dict.fromkeys([field.name for field in fields(Settings)], _text),
    "protocol": _choice(*get_args(Protocol)),
    "log_format": _choice(*get_args(LogFormat)),
    "log_level": _level,
    "capture_warnings": _flag,
    "baggage_origins": _origins,
    "trust_baggage": _flag,
    "queue_size": _positive(int),
    "shutdown_timeout": _positive(float),
}

# The SDK itself reads and checks OTEL_* variables; those of them that others of our modules ask for are here too.
_VARIABLES = {
    "OTEL_SERVICE_NAME": "service_name",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "endpoint",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "protocol",
    **{
        f"GANGLION_{name.upper()}": name
        for name in (
            "log_format",
            "log_level",
            "capture_warnings",
            "baggage_origins",
            "trust_baggage",
            "session_header",
            "tenant_header",
            "shutdown_timeout",
            "url",
        )
    },
}


def _argument(name: str, value: object) -> object:
    try:
        return _PARSERS[name](value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}={value!r}: {error}") from None


def _from_variables(environ: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for variable, name in _VARIABLES.items():
        text = environ.get(variable, "").strip()
        if not text:
            continue  # the specification: an empty variable is as one that is not set
        try:
            found[name] = _PARSERS[name](text)
        except ValueError as error:
            _logger.warning("%s is ignored: %r: %s", variable, text, error)
    return found


_current: Settings | None = None


def current() -> Settings:
    """Return the settings in force: those of `ganglion.configure`, before it those of the environment."""
    return _current or Settings.from_environment()


def use(settings: Settings | None) -> None:
    """Put settings in force; None ends this."""
    global _current  # noqa: PLW0603 - one process has one configuration, as it has one set of providers
    _current = settings
