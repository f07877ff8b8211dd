"""The configurations of Prometheus and Alertmanager that `ganglion up` starts, made of those that are shipped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ganglion_collector.config import CollectorConfig
from ganglion_collector.endpoint import parse_endpoint

__all__ = ["SHIPPED", "alertmanager_config", "prometheus_config", "reachable", "targets"]

_PACKAGED = Path(__file__).with_name("deploy")
# An editable install has it at the root of the source tree.
SHIPPED = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "deploy"
"""The folder with `prometheus/` and `alertmanager/`."""

_OWN = ("ganglion", "ganglion_exporter")
_NATIVE_BY_SETTING = (3, 9)
"""From this version on a key of the configuration, no feature flag, asks for native histograms."""


def prometheus_config(own: str, alertmanager: str | None, folder: Path, version: tuple[int, int]) -> str:
    """Return the shipped configuration for these addresses; what is Ganglion's to scrape stands in files of `folder`.

    Without an Alertmanager alerts stay in Prometheus.
    """
    config = _shipped("prometheus/prometheus.yml")
    config["rule_files"] = [str(SHIPPED / "prometheus" / "rules" / "*.yml")]
    if alertmanager is None:
        config.pop("alerting", None)
    else:
        config["alerting"]["alertmanagers"] = [{"static_configs": _static(alertmanager)}]
    config["scrape_configs"] = [
        job | _discovered({"prometheus": own, "alertmanager": alertmanager}, folder, job["job_name"])
        for job in (_without_targets(job) for job in config["scrape_configs"])
        if job["job_name"] != "alertmanager" or alertmanager is not None
    ]
    if version >= _NATIVE_BY_SETTING:
        config["global"]["scrape_native_histograms"] = True
    return yaml.safe_dump(config, sort_keys=False)


def alertmanager_config() -> str:
    """Return the shipped routes and inhibitions with receivers that send nothing: alerts are on its page alone."""
    config = _shipped("alertmanager/alertmanager.yml")
    for key in ("global", "templates"):
        config.pop(key, None)
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    return yaml.safe_dump(config, sort_keys=False)


def targets(config: CollectorConfig, addresses: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Return what each job for Ganglion scrapes: the addresses that are really listened on."""
    metrics = [] if config.telemetry.metrics.level == "none" else ["metrics"]
    exporters = [id_ for id_ in config.exporters if id_.partition("/")[0] == "prometheus"]
    known = [[reachable(addresses[name]) for name in names if name in addresses] for names in (metrics, exporters)]
    return dict(zip(_OWN, known, strict=True))


def reachable(address: str) -> str:
    """Return where this machine finds a server that may listen on every interface."""
    endpoint = parse_endpoint(address)
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(endpoint.host)  # noqa: S104 (not ours)
    return address if here is None else f"{here}:{endpoint.port}"


def _shipped(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((SHIPPED / name).read_text(encoding="utf-8"))
    return config


def _static(address: str) -> list[dict[str, list[str]]]:
    return [{"targets": [address]}]


def _without_targets(job: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key != "static_configs"}


def _discovered(static: Mapping[str, str | None], folder: Path, job: str) -> dict[str, Any]:
    address = static.get(job)
    if address is not None:
        return {"static_configs": _static(address)}
    return {"file_sd_configs": [{"files": [str(folder / f"{job}.json")]}]}
