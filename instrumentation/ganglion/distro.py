"""Ganglion as a distribution of OpenTelemetry: what `opentelemetry-instrument` finds by entry points."""

import logging
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from os import environ
from typing import Any

import wrapt
from opentelemetry.instrumentation.dependencies import DependencyConflictError
from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined] # its module opts out of checking
from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_CONFIGURATOR
from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # pyright: ignore[reportPrivateUsage] - for distros

from ganglion._semconv import prefer_stable
from ganglion._settings import Settings

__all__ = ["GanglionConfigurator", "GanglionDistro", "instrument_libraries"]

_logger = logging.getLogger("ganglion")

_REPLACED = frozenset({"fastapi", "logging", "starlette"})
"""Instrumentations in whose place ours do the same; with both, logs and spans would be sent twice."""


_DEFERRED = frozenset({"httpx", "httpx2", "requests", "urllib3"})
"""Libraries that are instrumented when the service imports them, as nothing else would import them."""


class GanglionDistro(BaseDistro):  # type: ignore[misc]
    """Chosen by OTEL_PYTHON_DISTRO=ganglion, and without that variable if no other distribution is found before."""

    chosen = False
    _named_configurator = False

    def _configure(self, **_kwargs: Any) -> None:
        GanglionDistro.chosen = True
        if not environ.get(OTEL_PYTHON_CONFIGURATOR):
            environ[OTEL_PYTHON_CONFIGURATOR] = "ganglion"
            GanglionDistro._named_configurator = True

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Instrument one library; one that cannot be is logged and keeps no other from it."""
        if entry_point.name in _REPLACED:
            return
        prefer_stable()
        load = partial(self._load, entry_point, kwargs)
        if entry_point.name in _DEFERRED:
            # Two steps: the module of one instrumentation may import the libraries of others.
            wrapt.register_post_import_hook(lambda _: load(), entry_point.module)
            wrapt.register_post_import_hook(lambda _: import_module(entry_point.module), entry_point.name)
        else:
            load()

    def _load(self, entry_point: Any, kwargs: Mapping[str, Any]) -> None:
        try:
            otherwise: Any = super()
            otherwise.load_instrumentor(entry_point, **kwargs)
        except (DependencyConflictError, ModuleNotFoundError):
            _logger.debug("Instrumentation %s is left out", entry_point.name, exc_info=True)
        except Exception:
            _logger.exception("Instrumentation %s failed; it is left out", entry_point.name)

    @classmethod
    def forget_configurator(cls) -> None:
        """Take back what `_configure` set, which other programs would inherit."""
        if cls._named_configurator:
            environ.pop(OTEL_PYTHON_CONFIGURATOR, None)
            cls._named_configurator = False


class GanglionConfigurator(_OTelSDKConfigurator):
    """Starts Ganglion from the environment; under another distribution it does what the SDK's own does."""

    def _configure(self, **kwargs: Any) -> None:
        if not GanglionDistro.chosen:
            otherwise: Any = super()
            otherwise._configure(**kwargs)  # noqa: SLF001 - the method we override
            return
        from ganglion._configure import start  # noqa: PLC0415 - not where another distribution is at work

        GanglionDistro.forget_configurator()
        start(Settings.from_environment(), **kwargs)


def instrument_libraries() -> None:
    """Instrument all installed libraries that can be, but those of OTEL_PYTHON_DISABLED_INSTRUMENTATIONS."""
    auto: Any = import_module("opentelemetry.instrumentation.auto_instrumentation._load")
    auto._load_instrumentors(GanglionDistro())  # noqa: SLF001 - it alone honours all variables of instrumentations
