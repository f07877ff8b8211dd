"""A supervised process: started, watched, restarted with back-off, stopped.

start ──▶ starting ──ready──▶ running ──end──▶ restarting ──back-off──▶ starting …
              └ end before it was ever ready, with a reason or too often: StartError
"""

import asyncio
import json
import logging
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ganglion_collector.board import OK, Board
from ganglion_collector.errors import StartError

__all__ = ["Program", "SupervisedProcess"]

_logger = logging.getLogger(__name__)

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 30.0
_LAST_WORDS = 0.5
_STOP_AGAIN = 2.0
"""Seconds after which a program that was told to stop is told again."""
_UNEXPLAINED_ENDS = 5
"""Ends without a reason of its own (killed, out of memory) that a first start survives."""
_WELL_AFTER = 5.0
"""Seconds after which a process counts as well, so that its next restart is quick again."""


async def _nothing() -> None: ...


def _fatal(line: str) -> tuple[int, str]:
    _, fatal, reason = line.partition("FATAL:  ")
    return (logging.ERROR, reason) if fatal else (logging.DEBUG, "")


@dataclass(frozen=True, slots=True)
class Program:
    """What to run.

    `command` gives argv and environment anew for each start; `settings(status)` the line for standard input, where
    the child may report on descriptor `status` (None: it does not report, and `ready` says when it is). `prepare` runs
    before each start, `cleanup` after each end. `components` are those that fail when it does; `hint` follows
    the reason of an end that it did not explain itself. `reads` gives the level of a line that it wrote, and the
    reason of a failure, if the line holds one.
    """

    name: str
    command: Callable[[], tuple[Sequence[str], Mapping[str, str]]]
    components: Sequence[str]
    settings: Callable[[int], bytes] | None = None
    inherited: Sequence[int] = ()
    prepare: Callable[[], Awaitable[None]] = _nothing
    ready: Callable[[], Awaitable[None]] | None = None
    cleanup: Callable[[], None] = field(default=lambda: None)
    hint: str = ""
    reads: Callable[[str], tuple[int, str]] = _fatal
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 15.0


class SupervisedProcess:
    """Keeps one program running until it is stopped."""

    def __init__(self, program: Program, board: Board) -> None:
        self._program = program
        self._board = board
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready_at = 0.0
        self._failure = ""
        self._insists = True
        self._unexplained = 0

    @property
    def program(self) -> Program:
        return self._program

    async def start(self) -> None:
        """Return when it is ready for the first time.

        Raises:
            StartError: it said why it cannot, or ended again and again; it is not started again.
        """
        self._insists = False
        self.launch()
        await asyncio.shield(self._ready)
        self._insists = True

    def launch(self) -> None:
        """Start it and do not wait; it is started again and again until it is ready."""
        self._board.starting(self._program.components)
        self._board.update(self._program.name, "starting")
        self._task = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """End it in order, or by force when its patience is over. Safe twice, and without start."""
        self._stopping.set()
        if self._task is None:
            return
        deadline = time.monotonic() + self._program.patience
        while not self._task.done() and (left := deadline - time.monotonic()) > 0:
            # A signal that comes while a program is still starting may be lost on it.
            self._signal(self._program.stop_signal)
            await asyncio.wait([self._task], timeout=min(left, _STOP_AGAIN))
        if not self._task.done():
            _logger.warning("ended by force", extra={"name_of_process": self._program.name})
            self.kill()
        await self._task

    def kill(self) -> None:
        """End it now."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _keep_running(self) -> None:
        name = self._program.name
        delay = _FIRST_DELAY
        while not self._stopping.is_set():
            reason = await self._run_once()
            if self._stopping.is_set():
                break
            if self._gives_up():
                self._board.update(name, "stopped", reason=reason)
                self._ready.set_exception(StartError(reason))
                return
            if self._ready_at and time.monotonic() - self._ready_at > _WELL_AFTER:
                delay = _FIRST_DELAY
            self._board.update(name, "restarting", reason=reason)
            self._board.failing(self._program.components, f"{name} restarts: {reason}")
            _logger.warning("process ended", extra={"ended": name, "reason": reason, "restart_in": delay})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, _LONGEST_DELAY)
        self._board.update(name, "stopped")
        if not self._ready.done():
            self._ready.cancel()

    def _gives_up(self) -> bool:
        """Tell whether the first start has failed: who was killed may be lucky the next time."""
        if self._insists or self._ready.done():
            return False
        self._unexplained += 1
        return bool(self._failure) or self._unexplained > _UNEXPLAINED_ENDS

    async def _run_once(self) -> str:
        """Run the program from start to end; return why it ended."""
        self._failure = ""
        self._ready_at = 0.0
        try:
            await self._program.prepare()
            process, reports = await self._spawn()
        except (StartError, OSError) as error:
            self._failure = str(error)
            return self._failure
        self._process = process
        self._board.update(self._program.name, "starting", pid=process.pid)
        if self._stopping.is_set():
            self._signal(self._program.stop_signal)
        follower = asyncio.create_task(self._follow(reports))
        echo = asyncio.create_task(self._echo(process.stderr))
        code = await process.wait()
        if reports is None:
            follower.cancel()
            # What it started may hold its standard error open for longer.
            await asyncio.wait([echo], timeout=_LAST_WORDS)
        echo.cancel()
        await asyncio.gather(follower, echo, return_exceptions=True)
        self._program.cleanup()
        return self._failure or _ending(code) + self._program.hint

    async def _spawn(self) -> tuple[Process, asyncio.StreamReader | None]:
        argv, environment = self._program.command()
        if self._program.settings is None:
            process = await asyncio.create_subprocess_exec(
                *argv, env=environment, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True
            )
            return process, None
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=environment,
                stdin=PIPE,
                start_new_session=True,
                pass_fds=(writing, *self._program.inherited),
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        assert process.stdin is not None
        process.stdin.write(self._program.settings(writing))
        return process, await _reader(reading)

    async def _follow(self, reports: asyncio.StreamReader | None) -> None:
        if reports is None:
            await self._wait_ready()
            return
        while line := await reports.readline():
            self._take(json.loads(line))

    async def _echo(self, output: asyncio.StreamReader | None) -> None:
        """Log what a program that is not ours writes; until it is ready, its first failure says why it ended."""
        logger = logging.getLogger(self._program.name)
        while output is not None and (line := await output.readline()):
            text = line.decode(errors="replace").strip()
            level, reason = self._program.reads(text)
            if reason and not self._failure and not self._ready_at:
                self._failure = reason
            logger.log(level, text)

    async def _wait_ready(self) -> None:
        assert self._program.ready is not None
        try:
            await self._program.ready()
        except StartError as error:
            self._failure = str(error)
            self._signal(signal.SIGKILL)
        else:
            for component in self._program.components:
                self._board.component(component, OK)
            self._became_ready()

    def _take(self, report: Mapping[str, Any]) -> None:
        match report["event"]:
            case "ready":
                self._became_ready()
            case "component":
                self._board.component(report["component"], report["status"], report["reason"])
            case "address":
                self._board.address(report["name"], report["address"])
            case "failed":
                self._failure = report["reason"]
            case event:
                _logger.error("unknown report", extra={"event": event})

    def _became_ready(self) -> None:
        self._ready_at = time.monotonic()
        pid = self._process.pid if self._process else None
        self._board.update(self._program.name, "running", pid=pid)
        if not self._ready.done():
            self._ready.set_result(None)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader
