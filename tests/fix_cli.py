"""The command line in this process, on the database of the test, in UTC."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ganglion_query.commands import app
from typer.testing import CliRunner

Ganglion = Callable[..., Any]


@pytest.fixture
def ganglion(postgresql: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Ganglion]:
    """Run `ganglion` with arguments; times are in UTC, lines have 100 columns, and no collector runs."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"GANGLION_DATABASE_URL": postgresql, "COLUMNS": "100", "TZ": "UTC"}.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    yield lambda *arguments: CliRunner().invoke(app, arguments)
    monkeypatch.undo()
    time.tzset()
