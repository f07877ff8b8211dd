"""The Prometheus that other tests use really scrapes and answers."""

from tests.fix_prometheus import MakePrometheus

CONFIGURATION = """\
global: {scrape_interval: 100ms, scrape_timeout: 100ms}
scrape_configs:
- job_name: itself
  static_configs: [{targets: ["127.0.0.1:1"]}]
"""


def test_a_server_scrapes_and_answers(prometheus: MakePrometheus) -> None:
    server = prometheus(CONFIGURATION)
    (series,) = server.wait_for('up{job="itself"}')
    assert series["metric"] == {"__name__": "up", "instance": "127.0.0.1:1", "job": "itself"}
    assert server.value("vector(1) + 1") == 2
    assert server.query("1 + 1")[0]["value"][1] == "2"
    server.wait_until_absent("absent_metric")
    assert server.exemplars("up") == []


def test_a_changed_configuration_is_read_again(prometheus: MakePrometheus) -> None:
    server = prometheus(CONFIGURATION)
    server.config.write_text(CONFIGURATION.replace("itself", "other"), encoding="utf-8")
    server.reload()
    server.wait_for('up{job="other"}')


def test_two_servers_stand_beside_each_other(prometheus: MakePrometheus) -> None:
    assert prometheus(CONFIGURATION).url != prometheus(CONFIGURATION).url
