"""The wheel as a service gets it: light, complete, and alone in its environment."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.fix_collector import eventually
from tests.programs import free_port

ROOT = Path(__file__).resolve().parent.parent


PAGE = ROOT / "query" / "ganglion_query" / "_page"


def run(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (PAGE / "index.html").is_file():
        pytest.fail("the page belongs into the wheel and is not built: make page", pytrace=False)
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


def test_a_bare_environment_imports_ganglion_alone(bare_python: Path) -> None:
    loaded = run(bare_python, "-I", "-c", "import sys, ganglion; print(*(m.partition('.')[0] for m in sys.modules))")

    assert "ganglion" in loaded.split()
    assert not {"ganglion_collector", "ganglion_query", "grpc", "psycopg", "pydantic"} & set(loaded.split())


def test_the_command_line_names_the_missing_extra(bare_python: Path) -> None:
    result = subprocess.run([bare_python.parent / "ganglion", "--help"], capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert "pip install 'ganglion[all]'" in result.stderr
    assert "Traceback" not in result.stderr


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


def test_the_wheel_holds_the_page_and_not_its_sources(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if "/_page/" in name or "web/" in name]
    built = {str(path.relative_to(PAGE)) for path in PAGE.rglob("*") if path.is_file()}

    assert {name.removeprefix("ganglion_query/_page/") for name in names} == built - {".sources"}
    assert {"index.html", "embed/trace-timeline-element.js", "embed/trace-timeline.d.ts"} <= built
    assert not [name for name in names if name.endswith((".tsx", ".map", ".test.js", "node_modules"))]


def test_a_wheel_without_the_page_is_not_built(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE", "query/web/has_page.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    version = tmp_path / "instrumentation" / "ganglion" / "__init__.py"
    version.parent.mkdir(parents=True)
    version.write_text('__version__ = "1.0.0"\n')
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"]

    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert result.returncode != 0
    assert "is not built; run: make page" in result.stderr
    assert not list(tmp_path.glob("dist/*"))


@pytest.mark.timeout(120)
def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert not list(folder.rglob("node_modules"))

    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)

    again = zipfile.ZipFile(next(tmp_path.glob("dist/*.whl")))
    assert sorted(again.namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_an_installed_wheel_serves_the_page(bare_python: Path, postgresql: str) -> None:
    """Ganglion is the wheel's; of this environment's packages there are those that the extra `query` brings."""
    port, folder = free_port(), bare_python.parents[1]
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    command: list[str | Path] = [bare_python, "-c", _SERVE.format(packages=packages, port=port, beyond=beyond("query"))]
    with subprocess.Popen(command, env={**os.environ, "GANGLION_DATABASE_URL": postgresql}, cwd=folder) as process:
        try:
            eventually(lambda: fetched(port, "/search").startswith("<!doctype html>"), timeout=30)
            script = re.search(r'src="(/assets/[^"]+\.js)"', fetched(port, "/search"))
            assert script is not None
            assert len(fetched(port, script[1])) > 10_000
        finally:
            process.terminate()


_SERVE = """\
import sys
class Beyond:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {beyond!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Beyond())
sys.path.append({packages!r})
sys.argv[1:] = ["--endpoint=127.0.0.1:{port}"]
import ganglion_query
assert ganglion_query.__file__.startswith(sys.prefix), ganglion_query.__file__
from ganglion_query.api.__main__ import main
main()
"""


def beyond(extra: str) -> set[str]:
    """Return the modules of this environment that an installation with `extra` alone does not bring."""
    brought: set[str] = set()
    waiting = [Requirement(f"ganglion[{extra}]")]
    done: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in done:
            continue
        done.add(str(requirement))
        brought.add(canonicalize_name(requirement.name))
        for entry in map(Requirement, metadata.requires(requirement.name) or ()):
            extras = requirement.extras or {""}
            if entry.marker is None or any(entry.marker.evaluate({"extra": one}) for one in extras):
                waiting.append(entry)
    return {
        module
        for module, names in metadata.packages_distributions().items()
        if not {canonicalize_name(name) for name in names} & brought
    }


def fetched(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
    except OSError:
        return ""
    return text.replace("<!DOCTYPE", "<!doctype")


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
