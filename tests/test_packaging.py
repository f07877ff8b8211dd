"""The wheel as a service gets it: light, complete, and alone in its environment."""

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", f"--python={python}", "install", "--no-deps", "--no-index", "--quiet", wheel)
    return python


@pytest.mark.timeout(60)
def test_a_bare_environment_imports_ganglion_alone(bare_python: Path) -> None:
    loaded = run(bare_python, "-I", "-c", "import sys, ganglion; print(*(m.partition('.')[0] for m in sys.modules))")

    assert "ganglion" in loaded.split()
    assert not {"ganglion_collector", "ganglion_query", "grpc", "psycopg", "pydantic"} & set(loaded.split())


@pytest.mark.timeout(60)
def test_the_command_line_names_the_missing_extra(bare_python: Path) -> None:
    result = subprocess.run([bare_python.parent / "ganglion", "--help"], capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert "pip install 'ganglion[all]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.timeout(60)
def test_the_wheel_holds_what_is_not_python(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert [name for name in names if name.endswith(".sql")]
    assert [name for name in names if name.endswith("otel-collector.yaml")]
    for name in ("prometheus/prometheus.yml", "prometheus/rules/rag.yml", "alertmanager/alertmanager.yml"):
        assert f"ganglion_collector/deploy/{name}" in names
    assert {name.partition("/")[0] for name in names if not name.startswith("ganglion-")} == {
        "ganglion",
        "ganglion_collector",
        "ganglion_exporters",
        "ganglion_query",
    }
    assert all(f"{package}/py.typed" in names for package in ("ganglion", "ganglion_collector", "ganglion_query"))


def test_the_lock_pins_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    wanted = {
        re.match(r"[\w.-]+", entry)[0]  # type: ignore[index]  # every requirement begins with a name
        for entries in (project["project"]["dependencies"], *extras, *groups)
        for entry in entries
        if isinstance(entry, str)
    }
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))

    assert wanted - {"ganglion"} <= pinned | {"ganglion"}
