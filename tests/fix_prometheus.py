"""A real Prometheus: a server of its own for each call, its storage in the test's folder, ended with the test."""

import json
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.programs import free_port, prometheus_program

T = TypeVar("T")

_START = 15.0
_FEATURES = "exemplar-storage,native-histograms"


class RunningPrometheus:
    """One server; `url` is its root, `folder` what it keeps, `config` its configuration file."""

    def __init__(self, config_text: str, folder: Path, arguments: tuple[str, ...]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.folder = folder
        self.config = folder / "prometheus.yml"
        self.config.write_text(config_text, encoding="utf-8")
        self._log = folder / "prometheus.log"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "RunningPrometheus":
        """Start it and return when it is ready."""
        command = [
            prometheus_program("prometheus"),
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            f"--enable-feature={_FEATURES}",
            "--web.enable-lifecycle",
            *self._arguments,
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._until(self._is_ready, _START, "it is ready")
        return self

    def get(self, path: str, **parameters: str) -> Any:
        """Return `data` of an answer of its API, such as `/api/v1/rules`."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the vector that `expression` is now: `metric` (labels) and `value` ([time, text]) of each series.

        A scalar is one series without labels. `at` is another time, in Unix seconds.
        """
        when = {} if at is None else {"time": str(at)}
        found = self.get("/api/v1/query", query=expression, **when)
        if found["resultType"] == "scalar":
            return [{"metric": {}, "value": found["result"]}]
        result: list[dict[str, Any]] = found["result"]
        return result

    def value(self, expression: str, at: float | None = None) -> float:
        """Return the value of the one series that `expression` is."""
        (series,) = self.query(expression, at)
        return float(series["value"][1])

    def wait_for(self, expression: str, timeout: float = 30.0) -> list[dict[str, Any]]:
        """Return the vector of `expression` as soon as it is not empty."""
        return self._until(lambda: self.query(expression), timeout, f"{expression} has a series")

    def wait_until_absent(self, expression: str, timeout: float = 30.0) -> None:
        """Wait until `expression` is empty."""
        self._until(lambda: not self.query(expression), timeout, f"{expression} has no series")

    def exemplars(self, expression: str) -> list[dict[str, Any]]:
        """Return the exemplars of the last hour: `seriesLabels` and `exemplars` of each series."""
        now = time.time()
        found: list[dict[str, Any]] = self.get(
            "/api/v1/query_exemplars", query=expression, start=str(now - 3600), end=str(now + 60)
        )
        return found

    def reload(self) -> None:
        """Read the configuration again."""
        request = urllib.request.Request(f"{self.url}/-/reload", method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def logs(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """End it, whatever happened."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"prometheus ended\n{self.logs()}"
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            return False

    def _until(self, condition: Callable[[], T], timeout: float, what: str) -> T:
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}\n{self.logs()[-4000:]}"
            time.sleep(0.05)
        return found


MakePrometheus = Callable[..., RunningPrometheus]


@pytest.fixture
def prometheus() -> Iterator[MakePrometheus]:
    """Start servers: `prometheus(config_text, *arguments)`; all end with the test.

    Exemplars and native histograms are on. Arguments are those of the program, such as
    `--web.enable-remote-write-receiver`.
    """
    made: list[RunningPrometheus] = []
    with tempfile.TemporaryDirectory(prefix="ganglion-test-prometheus-") as parent:

        def make(config_text: str, *arguments: str) -> RunningPrometheus:
            folder = Path(tempfile.mkdtemp(dir=parent))
            made.append(RunningPrometheus(config_text, folder, arguments))
            return made[-1].start()

        yield make
        for one in made:
            one.close()
