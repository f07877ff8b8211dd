"""Set up a process's telemetry once, and end it within a bound: `configure`, `flush`, `shutdown`."""

import logging
import threading
from dataclasses import fields
from functools import partial

from ganglion import _providers, _settings
from ganglion._lifetime import BeforeSignals, at_end
from ganglion._parts import install_parts
from ganglion._settings import Settings

__all__ = ["configure", "flush", "shutdown", "start"]

_logger = logging.getLogger("ganglion")
_lock = threading.RLock()
_in_force: Settings | None = None
_before_signals: BeforeSignals | None = None
_LAST_WORDS = 1.0
"""Seconds over the shutdown's own bound until a signal to end has its effect anyway."""


def configure(**settings: object) -> None:
    """Send this process's logs, spans and metrics: the same as running it under `opentelemetry-instrument`.

    The keyword arguments are those of `Settings` (service_name, endpoint, protocol, log_format …); a variable of the
    environment wins over its argument. It instruments the libraries that are installed, so call it before they
    are used. Safe twice: the second call changes nothing, and says so when it asks for something else. A fault in the
    environment is logged and leaves the service as it is.

    Raises:
        TypeError: an argument is unknown.
        ValueError: the value of an argument makes no sense.
    """
    wanted = Settings.from_environment(**settings)
    if start(wanted):
        from ganglion.distro import instrument_libraries  # noqa: PLC0415 - that module imports this one

        instrument_libraries()


def start(settings: Settings, **more: object) -> bool:
    """Put settings in force, all but the instrumentation of libraries; return False if others are in force already.

    `more` goes to the SDK's configurator.
    """
    global _in_force, _before_signals  # noqa: PLW0603 - one process has one configuration, as one set of providers
    with _lock:
        if _in_force is not None:
            _warn_of_difference(_in_force, settings)
            return False
        _in_force = settings
        _settings.use(settings)
        _providers.start(settings, more)
        install_parts(settings, _providers.resource(settings))
        _before_signals = at_end(_end, settings.shutdown_timeout + _LAST_WORDS)
        return True


def flush(timeout: float = 5.0) -> bool:
    """Send all that waits; return whether everything was taken within `timeout` seconds."""
    return _providers.flush(timeout)


def shutdown(timeout: float = 5.0) -> bool:
    """Send all that waits, then send nothing more; return whether everything was taken within `timeout` seconds.

    What comes later or could not be sent is dropped and counted. It happens by itself when the process ends, by SIGTERM
    too, with GANGLION_SHUTDOWN_TIMEOUT as the bound. A SIGTERM that comes meanwhile waits for it.
    """
    end = partial(_providers.shutdown, timeout)
    return end() if _before_signals is None else _before_signals(end, timeout + _LAST_WORDS)


def _end() -> None:
    shutdown(_settings.current().shutdown_timeout)


def _warn_of_difference(now: Settings, wanted: Settings) -> None:
    names = [field.name for field in fields(Settings) if getattr(now, field.name) != getattr(wanted, field.name)]
    if names:
        _logger.warning(
            "Ganglion is configured already; these settings of a later call have no effect: %s", ", ".join(names)
        )
