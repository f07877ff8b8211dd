"""Where the collector says over HTTP whether it is healthy."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, field_validator

from ganglion_collector.component import Config, ExtensionFactory
from ganglion_collector.endpoint import parse_endpoint

__all__ = ["HealthCheckConfig", "factory"]

_ONE_ANSWER = "there is one server with one answer: every component's status as JSON"


class HealthCheckConfig(Config):
    """The Collector's keys; the answer names each component with its status and reason."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "response_body": _ONE_ANSWER,
        "use_v2": _ONE_ANSWER,
        "http": _ONE_ANSWER,
        "grpc": _ONE_ANSWER,
        "component_health": "any component that cannot work makes the answer 503",
        "check_collector_pipeline": "the health of every exporter is always part of the answer",
    }

    endpoint: str = "localhost:13133"
    """Address to listen on, `host:port`; without a host on every interface."""
    path: str = Field(default="/", pattern="^/")
    """Path of the status."""

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, endpoint: str) -> str:
        parse_endpoint(endpoint)
        return endpoint


factory = ExtensionFactory(component_type="health_check", config=HealthCheckConfig)
