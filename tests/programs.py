"""Programs that tests start: where they are, and ports for them."""

import shutil
import socket

import pytest

_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}


def prometheus_program(name: str) -> str:
    """Return the path of a program of Prometheus or Alertmanager; fail saying what to install."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"this test needs {name}: apt-get install {_PACKAGES[name]}", pytrace=False)
    return path


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
