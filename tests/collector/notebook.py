"""An exporter for tests with real processes: writes each log body as a line into a file, and dies of some.

exporters: {notebook: {path: FILE}}      registered by `notebook_environ`
"""

import os
import signal
from pathlib import Path

from ganglion_collector.component import Batch, ExporterConfig, ExporterFactory, Signal
from ganglion_collector.errors import PermanentError, RetryableError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

_ROOT = Path(__file__).parents[2]


class NotebookConfig(ExporterConfig):
    path: str
    """File to append to."""


class NotebookExporter:
    """A body that begins with `bad` is refused for ever, with `kill` kills; while `FILE.down` exists all fail."""

    def __init__(self, config: NotebookConfig) -> None:
        self._path = Path(config.path)
        self._down = Path(f"{config.path}.down")

    async def start(self) -> None: ...

    async def export(self, batch: Batch) -> None:
        bodies = [body for record in batch.records for body in bodies_of(record.payload)]
        if self._down.exists():
            raise RetryableError("the notebook is closed")
        if any(body.startswith("kill") for body in bodies):
            os.kill(os.getpid(), signal.SIGKILL)
        if bad := [body for body in bodies if body.startswith("bad")]:
            raise PermanentError(f"{len(bad)} bad bodies")
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{body}\n" for body in bodies)

    async def shutdown(self) -> None: ...


factory = ExporterFactory("notebook", NotebookConfig, NotebookExporter, frozenset({Signal.LOGS}))


def bodies_of(payload: bytes) -> list[str]:
    request = ExportLogsServiceRequest.FromString(payload)
    return [
        record.body.string_value
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def logs_payload(*bodies: str) -> bytes:
    """Return a request with a log record for each body."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for body in bodies:
        scope.log_records.add().body.string_value = body
    return request.SerializeToString()


def notebook_environ(folder: Path) -> dict[str, str]:
    """Register the exporter in `folder`, as a distribution would; return the environment that sees it."""
    info = folder / "site" / "notebook-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: notebook\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ganglion.exporters]\nnotebook = tests.collector.notebook:factory\n")
    return {"PYTHONPATH": f"{info.parent}{os.pathsep}{_ROOT}"}
