"""`.ci/run` brings the programs that the tests need, or says which they are."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.receivers import SHIPPED

RUN = SHIPPED.parent / ".ci/run"
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool", "chromium")
PACKAGES = "prometheus prometheus-alertmanager chromium fonts-dejavu-core"
SERVERS = ("prometheus", "prometheus-alertmanager")
STUB = '#!/bin/sh\necho "$(basename "$0") $*" >> "$CALLS"\n'


class Machine:
    """A machine that has only these commands; what runs them writes down how."""

    def __init__(self, folder: Path) -> None:
        self.commands = folder / "bin"
        self.commands.mkdir()
        self.log = folder / "calls"
        for name in ("bash", "sh", "dirname", "basename"):
            (self.commands / name).symlink_to(str(shutil.which(name)))

    def add(self, name: str, text: str = STUB) -> None:
        (self.commands / name).write_text(text, encoding="utf-8")
        (self.commands / name).chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.commands), "CALLS": str(self.log)}
        return subprocess.run([str(RUN)], env=environment, capture_output=True, text=True, check=False)

    def calls(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    for name in ("make", "apt-get", "service", "systemctl"):
        machine.add(name)
    machine.add("env", '#!/bin/sh\nshift\nexec "$@"\n')
    machine.add("id", "#!/bin/sh\necho 0\n")
    return machine


def test_nothing_is_installed_where_all_is_there(machine: Machine) -> None:
    for name in PROGRAMS:
        machine.add(name)
    assert machine.run().returncode == 0
    assert machine.calls() == ["make check test"]


def test_what_is_missing_is_installed_and_its_servers_stopped(machine: Machine) -> None:
    done = machine.run()
    assert done.returncode == 0, done.stderr
    update, install, *stopped, last = machine.calls()
    assert update == "apt-get update -q"
    assert install == f"apt-get install -qy --no-install-recommends {PACKAGES}"
    assert [[name for name in SERVERS if name in call.split()] for call in stopped] == [[name] for name in SERVERS]
    assert last == "make check test"


@pytest.mark.parametrize("browser", ["chromium", "chromium-browser", "google-chrome"])
def test_only_what_is_missing_is_installed(machine: Machine, browser: str) -> None:
    for name in ("prometheus", "promtool", browser):
        machine.add(name)
    assert machine.run().returncode == 0
    assert "apt-get install -qy --no-install-recommends prometheus-alertmanager" in machine.calls()


def test_a_browser_is_no_server_to_stop(machine: Machine) -> None:
    for name in PROGRAMS[:-1]:
        machine.add(name)
    assert machine.run().returncode == 0
    assert machine.calls() == [
        "apt-get update -q",
        "apt-get install -qy --no-install-recommends chromium fonts-dejavu-core",
        "make check test",
    ]


def test_who_may_not_install_is_told_what(machine: Machine) -> None:
    machine.add("id", "#!/bin/sh\necho 1000\n")
    done = machine.run()
    assert (done.returncode, machine.calls()) == (1, [])
    assert done.stderr == f"The tests need: sudo apt-get install {PACKAGES}\n"


def test_another_system_is_told_what_it_needs(machine: Machine) -> None:
    (machine.commands / "apt-get").unlink()
    done = machine.run()
    assert (done.returncode, machine.calls()) == (1, [])
    assert done.stderr == f"The tests need {PACKAGES} (Debian's names); install them first.\n"
