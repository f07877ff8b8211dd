"""Tell who started the supervisor how the start goes: JSON lines on an inherited descriptor.

{"event": "starting", "name": process}       {"event": "ready", "name": process}
{"event": "without", "name": process, "reason": text}    an optional one cannot run
{"event": "waiting", "reason": text}         up, but something does not work yet
{"event": "healthy", "addresses": {…}}       the last line
{"event": "failed", "reason": text}          the last line: nothing runs any more
"""

import json
import os
from contextlib import suppress
from typing import Any

from ganglion_collector.board import Board

__all__ = ["Readiness"]


class Readiness:
    """Writes each step once, and closes the descriptor after the last one. Nobody listening is no error."""

    def __init__(self, descriptor: int | None, board: Board) -> None:
        self._descriptor = descriptor
        self._board = board
        self._said: set[tuple[str, str]] = set()
        board.on_change(self._progress)

    def started(self) -> None:
        """All processes are ready: say so once everything works too."""
        if self._board.is_healthy:
            self._finish(event="healthy", addresses=self._board.status()["addresses"])
            return
        self._once("waiting", reason=self._board.reason)
        self._board.on_change(self._until_healthy)

    def failed(self, reason: str) -> None:
        self._finish(event="failed", reason=reason)

    def _until_healthy(self) -> None:
        if self._descriptor is None:
            return
        if self._board.is_healthy:
            self._finish(event="healthy", addresses=self._board.status()["addresses"])
        else:
            self._once("waiting", reason=self._board.reason)

    def _progress(self) -> None:
        for process in self._board.processes:
            if process.state == "starting":
                self._once("starting", name=process.name)
            if process.state == "running":
                self._once("ready", name=process.name)
            if process.optional and process.reason:
                self._once("without", name=process.name, reason=process.reason)

    def _once(self, event: str, **details: str) -> None:
        key = (event, "".join(details.values()))
        if key not in self._said:
            self._said.add(key)
            self._write(event=event, **details)

    def _finish(self, **message: Any) -> None:
        self._write(**message)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, **message: Any) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.write(self._descriptor, json.dumps(message).encode() + b"\n")
