"""Who sends: the resource of a service's telemetry, as far as the SDK does not find it out."""

import os
from collections.abc import Mapping, MutableMapping

from opentelemetry.sdk.environment_variables import OTEL_EXPERIMENTAL_RESOURCE_DETECTORS
from opentelemetry.sdk.resources import OTELResourceDetector

from ganglion._settings import Settings

__all__ = ["attributes", "choose_detectors"]


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
