"""The home folder's paths."""

from pathlib import Path

import pytest
from ganglion_collector import home as module
from ganglion_collector.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.make()
    return made


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(module, "_MEMORY", folder)
    return folder


def test_processes_count_in_memory_and_begin_anew(home: Home, memory: Path) -> None:
    folder = home.make_metrics()
    assert folder.parent == memory
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "counter_old.db").touch()
    assert home.make_metrics() == folder
    assert not any(folder.iterdir())


def test_each_home_has_a_place_of_its_own(home: Home, memory: Path, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.make()
    assert home.make_metrics() != other.make_metrics()
    assert len(list(memory.iterdir())) == 2


def test_processes_count_in_the_home_folder_where_there_is_no_memory(
    home: Home, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_METRICS_BYTES", 1 << 62)
    assert home.make_metrics() == home.run / "metrics"
    monkeypatch.setattr(module, "_MEMORY", memory / "missing")
    assert home.make_metrics() == home.run / "metrics"


def test_what_somebody_else_has_put_there_is_not_used(home: Home, memory: Path, tmp_path: Path) -> None:
    folder = home.make_metrics()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert home.make_metrics() == home.run / "metrics"
    assert (tmp_path / "home").is_dir()
    assert memory.is_dir()
