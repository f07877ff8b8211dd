"""Who sends: the resource of a service's telemetry, as far as the SDK does not find it out."""

import os
from collections.abc import Mapping, MutableMapping

from opentelemetry.sdk.environment_variables import OTEL_EXPERIMENTAL_RESOURCE_DETECTORS
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from ganglion._settings import Settings

__all__ = ["attributes", "choose_detectors", "hash_once"]


def attributes(settings: Settings) -> dict[str, str]:
    """Return what the settings say of the service and OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES do not."""
    said: Mapping[str, object] = OTELResourceDetector().detect().attributes
    wanted = {
        "service.name": settings.service_name,
        "service.version": settings.service_version,
        "deployment.environment.name": settings.environment,
    }
    return {name: value for name, value in wanted.items() if value is not None and name not in said}


def choose_detectors(environ: MutableMapping[str, str] = os.environ) -> None:
    """Have host.*, os.* and process.* in the resource, unless the variable says otherwise.

    The variable stays set because the SDK reads it again in each forked child, which has another process.pid.
    """
    if not environ.get(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS, "").strip():
        environ[OTEL_EXPERIMENTAL_RESOURCE_DETECTORS] = "host,os,process"


class _HashedOnce(Resource):
    """A resource, which never changes, that remembers its hash."""

    _hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash


def hash_once(resource: Resource) -> None:
    """Make the hash of `resource` cheap: OTLP's encoder asks for it with each span and log record.

    The SDK's own writes all attributes as JSON each time, 10 µs of the 30 that an item takes on its way out.
    """
    if type(resource) is Resource:
        resource.__class__ = _HashedOnce
