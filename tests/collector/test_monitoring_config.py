"""What Prometheus and Alertmanager are told: settings, addresses, configurations that the real programs take."""

import subprocess
from pathlib import Path

import pytest
import yaml
from ganglion_collector import config
from ganglion_collector.errors import StartError
from ganglion_collector.monitoring import MonitoringSettings
from ganglion_collector.monitoring_config import SHIPPED, alertmanager_config, prometheus_config, targets

from tests.fix_collector import simple
from tests.programs import prometheus_program


def test_off_is_off_and_what_cannot_be_is_told() -> None:
    assert MonitoringSettings.of({"GANGLION_PROMETHEUS": "off"}) is None
    with pytest.raises(StartError, match="GANGLION_PROMETHEUS is 'no'; write on or off"):
        MonitoringSettings.of({"GANGLION_PROMETHEUS": "no"})
    with pytest.raises(StartError, match="GANGLION_ALERTMANAGER_ADDRESS is '9093': not an endpoint"):
        MonitoringSettings.of({"GANGLION_ALERTMANAGER_ADDRESS": "9093"})
    assert MonitoringSettings.of({}) == MonitoringSettings.of({"GANGLION_PROMETHEUS_ADDRESS": "localhost:9090"})


def loaded(text: str) -> config.CollectorConfig:
    return config.load([f"yaml:{text}"], environ={})


def test_what_is_scraped_are_the_addresses_that_are_listened_on() -> None:
    addresses = {
        "metrics": "0.0.0.0:1",
        "prometheus": "[::]:2",
        "prometheus/b": "127.0.0.1:3",
        "otlp/http": "127.0.0.1:4",
    }
    two = loaded(simple("{prometheus: , prometheus/b: {endpoint: localhost:3}}", "metrics: [prometheus, prometheus/b]"))
    assert targets(two, addresses) == {"ganglion": ["127.0.0.1:1"], "ganglion_exporter": ["[::1]:2", "127.0.0.1:3"]}
    assert targets(two, {}) == {"ganglion": [], "ganglion_exporter": []}
    none = loaded(simple("{debug: }", "metrics: [debug]").replace("{readers:", "{level: none, readers:"))
    assert targets(none, addresses) == {"ganglion": [], "ganglion_exporter": []}


@pytest.mark.parametrize("version", [(2, 42), (3, 5)])
def test_prometheus_takes_the_configuration_made_for_it(tmp_path: Path, version: tuple[int, int]) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text(prometheus_config("127.0.0.1:1", "127.0.0.1:2", tmp_path, version))
    argv = [prometheus_program("promtool"), "check", "config", str(path)]
    checked = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_newer_prometheus_is_asked_for_native_histograms_by_a_key(tmp_path: Path) -> None:
    made = yaml.safe_load(prometheus_config("127.0.0.1:1", None, tmp_path, (3, 9)))
    assert made["global"]["scrape_native_histograms"] is True
    assert "alerting" not in made


def test_alertmanager_takes_the_configuration_that_sends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager_config())
    checked = subprocess.run([prometheus_program("amtool"), "check-config", path], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    shipped = yaml.safe_load((SHIPPED / "alertmanager" / "alertmanager.yml").read_text())
    made = yaml.safe_load(path.read_text())
    assert (made["route"], made["inhibit_rules"]) == (shipped["route"], shipped["inhibit_rules"])
    assert made["receivers"] == [{"name": "critical"}, {"name": "warning"}]
