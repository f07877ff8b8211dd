import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from ganglion_collector.board import Board
from ganglion_collector.errors import StartError
from ganglion_collector.process import Program, SupervisedProcess

_PROGRAM = """
import os, signal, sys
from pathlib import Path
starts, deaths, reason = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with starts.open("a") as file:
    file.write("x")
status = int(sys.stdin.readline())
if reason:
    os.write(status, b'{"event":"failed","reason":"%s"}\\n' % reason.encode())
    sys.exit(1)
if starts.stat().st_size <= deaths:
    os.kill(os.getpid(), signal.SIGKILL)
os.write(status, b'{"event":"ready"}\\n')
signal.pause()
"""


def program(starts: Path, deaths: int, reason: str = "") -> Program:
    def command() -> tuple[Sequence[str], dict[str, str]]:
        return (sys.executable, "-c", _PROGRAM, str(starts), str(deaths), reason), {}

    return Program("child", command, (), settings=lambda status: f"{status}\n".encode())


async def test_a_first_start_survives_being_killed(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    process = SupervisedProcess(program(starts, deaths=2), Board())
    await process.start()
    await process.stop()
    assert starts.read_text() == "xxx"


async def test_a_first_start_that_is_killed_again_and_again_fails(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    process = SupervisedProcess(program(starts, deaths=100), Board())
    with pytest.raises(StartError, match="SIGKILL"):
        await process.start()
    await process.stop()
    assert len(starts.read_text()) == 6


async def test_a_first_start_with_a_reason_to_fail_is_not_repeated(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    process = SupervisedProcess(program(starts, 0, "the port is taken"), Board())
    with pytest.raises(StartError, match="the port is taken"):
        await process.start()
    await process.stop()
    assert starts.read_text() == "x"


_DEAF_AT_FIRST = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: None)
os.write(int(sys.stdin.readline()), b'{"event":"ready"}\\n')
signal.pause()
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.pause()
"""


async def test_a_program_that_missed_the_signal_to_stop_is_told_again() -> None:
    def command() -> tuple[Sequence[str], dict[str, str]]:
        return (sys.executable, "-c", _DEAF_AT_FIRST), {}

    board = Board()
    process = SupervisedProcess(Program("child", command, (), settings=lambda status: f"{status}\n".encode()), board)
    await process.start()
    async with asyncio.timeout(10):
        await process.stop()
    assert board.process("child").state == "stopped"
