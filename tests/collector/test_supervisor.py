"""The supervisor with real processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from http.client import HTTPException
from itertools import count
from pathlib import Path
from threading import Thread

import psutil
import pytest
from ganglion_collector.errors import StartError
from ganglion_collector.instance import wait_for_orphans

from tests.collector.notebook import logs_payload, notebook_environ
from tests.fix_collector import MakeCollector, RunningCollector, eventually, simple


def _notebook(tmp_path: Path) -> str:
    return simple(
        f"{{notebook: {{path: {tmp_path}/notes, retry_on_failure: {{initial_interval: 100ms}}}}}}", "logs: [notebook]"
    )


@pytest.fixture
def running(collector: MakeCollector, tmp_path: Path) -> RunningCollector:
    return collector(_notebook(tmp_path), environ=notebook_environ(tmp_path)).start()


def _notes(running: RunningCollector) -> list[str]:
    path = running.home.parent / "notes"
    return path.read_text().splitlines() if path.exists() else []


def _once_or_again(first: str, *rest: str, again: bool) -> list[list[str]]:
    """Return what the notes may be: a worker killed after a delivery, before it noted that, delivers `again`."""
    return [[first, *rest], *([[first, first, *rest]] if again else [])]


def test_what_is_acknowledged_arrives_and_the_stop_is_orderly(running: RunningCollector) -> None:
    assert running.post("/v1/logs", logs_payload("one", "two")) == 200
    eventually(lambda: _notes(running) == ["one", "two"])

    assert running.stop() == 0
    assert not (running.home / "run" / "status.json").exists()


@pytest.mark.parametrize("name", ["receiver", "worker"])
def test_killed_child_is_restarted_and_nothing_is_lost(running: RunningCollector, name: str) -> None:
    assert running.post("/v1/logs", logs_payload("before")) == 200
    pid = running.kill(name)
    eventually(lambda: running.process(name)["state"] == "running" and running.process(name)["pid"] != pid)

    assert running.post("/v1/logs", logs_payload("after")) == 200
    eventually(lambda: _notes(running)[-1:] == ["after"])
    assert _notes(running) in _once_or_again("before", "after", again=name == "worker")
    assert running.process(name)["restarts"] == 1
    eventually(lambda: running.status()["healthy"])


def test_children_do_not_outlive_a_killed_supervisor_and_the_next_start_recovers(running: RunningCollector) -> None:
    assert running.post("/v1/logs", logs_payload("before")) == 200
    children = [psutil.Process(int(found["pid"])) for found in running.status()["processes"]]
    running.signal(signal.SIGKILL)
    running.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive

    running.start()
    assert running.post("/v1/logs", logs_payload("after")) == 200
    eventually(lambda: _notes(running)[-1:] == ["after"])
    assert _notes(running) in _once_or_again("before", "after", again=True)


def test_stop_under_load_is_orderly_and_loses_nothing(running: RunningCollector) -> None:
    acknowledged: list[str] = []

    def send(name: str) -> None:
        for number in count():
            try:
                if running.post("/v1/logs", logs_payload(f"{name} {number}")) != 200:
                    return
            except (OSError, HTTPException):
                return
            acknowledged.append(f"{name} {number}")

    senders = [Thread(target=send, args=(name,)) for name in "abcd"]
    for sender in senders:
        sender.start()
    eventually(lambda: len(acknowledged) > 50)
    assert running.stop() == 0
    for sender in senders:
        sender.join()
    assert set(acknowledged) <= set(_notes(running))
    assert len(_notes(running)) == len(set(_notes(running)))


def test_children_left_by_a_killed_supervisor_are_waited_for(tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    argv = [sys.executable, "-c", "print(flush=True); input()", "ganglion_collector.child"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        assert left.stdout.readline()  # before it runs, it may have no command line yet
        status.write_text(json.dumps({"processes": [{"pid": left.pid}, {"pid": os.getpid()}, {"pid": None}]}))
        with pytest.raises(StartError, match=f"do not end: {left.pid};"):
            wait_for_orphans(status, 0.1)
    wait_for_orphans(status, 0.1)
    wait_for_orphans(tmp_path / "none", 0.1)


def test_second_collector_in_one_home_is_refused(running: RunningCollector, collector: MakeCollector) -> None:
    second = collector(running.config.read_text(), environ=notebook_environ(running.home.parent))
    second.launch()
    assert "another collector runs" in second.wait_event("failed")["reason"]
    assert second.wait() == 1
    assert running.status()["healthy"]


def test_taken_port_is_told_in_one_line_and_nothing_stays(collector: MakeCollector, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = _notebook(tmp_path).replace('http: {endpoint: "127.0.0.1:0"}', f'http: {{endpoint: "127.0.0.1:{port}"}}')
        one = collector(text, environ=notebook_environ(tmp_path))
        one.launch()
        reason = one.wait_event("failed")["reason"]
    assert f"127.0.0.1:{port}" in reason
    assert "\n" not in reason
    assert one.wait() == 1


def test_wrong_configuration_starts_nothing(collector: MakeCollector) -> None:
    one = collector("receivers: {otlp: {no_such_key: 1}}")
    one.launch()
    assert "no_such_key" in one.wait_event("failed")["reason"]
    assert one.wait() == 1
    assert not one.home.exists()


def test_new_configuration_is_taken_over_on_sighup(running: RunningCollector, tmp_path: Path) -> None:
    pid = running.process("receiver")["pid"]
    running.config.write_text(running.config.read_text().replace("/notes", "/others"))
    running.signal(signal.SIGHUP)
    eventually(lambda: running.process("receiver")["pid"] not in (None, pid) and running.status()["healthy"], 30)

    assert running.post("/v1/logs", logs_payload("new")) == 200
    eventually(lambda: (tmp_path / "others").exists() and (tmp_path / "others").read_text() == "new\n")


def test_wrong_new_configuration_changes_nothing(running: RunningCollector) -> None:
    pids = {found["name"]: found["pid"] for found in running.status()["processes"]}
    running.config.write_text("receivers: {otlp: {no_such_key: 1}}")
    running.signal(signal.SIGHUP)
    eventually(lambda: "no_such_key" in running.logs())

    assert {found["name"]: found["pid"] for found in running.status()["processes"]} == pids
    assert running.post("/v1/logs", logs_payload("still")) == 200
    eventually(lambda: _notes(running) == ["still"])


def test_second_signal_stops_at_once(running: RunningCollector) -> None:
    children = [psutil.Process(int(found["pid"])) for found in running.status()["processes"]]
    running.signal(signal.SIGTERM)
    running.signal(signal.SIGINT)
    running.wait(5)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def test_exporter_that_cannot_export_makes_health_fail_with_its_reason(running: RunningCollector) -> None:
    down = running.home.parent / "notes.down"
    down.touch()
    assert running.get("health")[0] == 200
    assert running.post("/v1/logs", logs_payload("later")) == 200
    eventually(lambda: running.get("health")[0] == 503)
    _, body = running.get("health")
    assert "exporter:notebook: the notebook is closed" in body

    down.unlink()
    eventually(lambda: running.get("health")[0] == 200)
    assert _notes(running) == ["later"]


def test_status_stays_true_when_no_file_can_be_made(running: RunningCollector) -> None:
    (running.home / "run" / "status.new").mkdir()
    (running.home.parent / "notes.down").touch()
    assert running.post("/v1/logs", logs_payload("later")) == 200
    eventually(lambda: not running.status()["healthy"])
    assert "the notebook is closed" in running.status()["reason"]


def test_item_that_kills_its_worker_is_set_aside_alone(running: RunningCollector) -> None:
    assert running.post("/v1/logs", logs_payload("one", "kill", "two")) == 200
    eventually(lambda: _notes(running)[-1:] == ["two"], 50)
    assert _notes(running) == ["one", "two"]
    eventually(lambda: running.metrics()["ganglion_dead_letters"] == 1)


def test_stop_during_the_start_is_orderly(collector: MakeCollector, tmp_path: Path) -> None:
    one = collector(_notebook(tmp_path), environ=notebook_environ(tmp_path))
    one.launch()
    one.wait_event("starting")
    one.signal(signal.SIGTERM)
    assert one.wait() == 0


def test_secrets_of_the_configuration_are_in_no_command_line(collector: MakeCollector, tmp_path: Path) -> None:
    text = _notebook(tmp_path).replace(f"path: {tmp_path}/notes,", f'path: "{tmp_path}/${{env:NOTES}}",')
    running = collector(text, environ={**notebook_environ(tmp_path), "NOTES": "s3cret"}).start()
    pids = [int(found["pid"]) for found in running.status()["processes"]]
    assert not [pid for pid in pids if "s3cret" in " ".join(psutil.Process(pid).cmdline())]


def test_journal_that_is_deleted_while_running_begins_anew_and_nothing_new_is_lost(
    running: RunningCollector, tmp_path: Path
) -> None:
    assert running.post("/v1/logs", logs_payload("before")) == 200
    eventually(lambda: _notes(running) == ["before"])
    # At once: a process that writes a file of it meanwhile would leave a folder that is not empty.
    (running.home / "journal").rename(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")

    accepted = [name for name in map(str, range(20)) if _accepts(running, name)]
    eventually(lambda: _accepts(running, "last"))
    eventually(lambda: {"before", *accepted, "last"} <= set(_notes(running)))
    eventually(lambda: running.status()["healthy"])


def _accepts(running: RunningCollector, name: str) -> bool:
    try:
        return running.post("/v1/logs", logs_payload(name)) == 200
    except (OSError, HTTPException):
        return False
