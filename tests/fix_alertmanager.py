"""A real Alertmanager: a server of its own for each call, its storage in the test's folder, ended with the test."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.programs import free_port, prometheus_program

__all__ = ["MakeAlertmanager", "RunningAlertmanager"]

_START = 15.0


class RunningAlertmanager:
    """One server that reads the configuration file `config`; `url` is its root."""

    def __init__(self, config: Path, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.config = config
        self._folder = folder
        self._log = folder / "alertmanager.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "RunningAlertmanager":
        """Start it and return when it is ready."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [
            prometheus_program("prometheus-alertmanager"),
            f"--config.file={self.config}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START
        while not self._is_ready():
            assert time.monotonic() < deadline, f"Alertmanager is not ready\n{self.logs()}"
            time.sleep(0.05)
        return self

    def send(self, *alerts: dict[str, Any]) -> None:
        """Give it alerts: `labels`, `annotations`, and optionally `startsAt`, `endsAt`."""
        body = json.dumps(alerts).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v2/alerts", body, headers)
        urllib.request.urlopen(request, timeout=10).close()

    def alerts(self) -> list[dict[str, Any]]:
        """Return what it knows of each alert: `labels`, `annotations`, `receivers`, `status` (`state`)."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            page: bytes = answer.read()
        return page.decode()

    def logs(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """End it, whatever happened."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Alertmanager ended\n{self.logs()}"
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            return False


MakeAlertmanager = Callable[[Path], RunningAlertmanager]


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[MakeAlertmanager]:
    """Start servers: `alertmanager(path_of_the_configuration)`; all end with the test."""
    with ExitStack() as running:
        count = 0

        def make(config: Path) -> RunningAlertmanager:
            nonlocal count
            count += 1
            server = RunningAlertmanager(config, tmp_path / f"alertmanager-{count}")
            running.callback(server.close)
            return server.start()

        yield make
