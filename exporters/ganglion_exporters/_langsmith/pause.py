"""Why nothing is sent now and until when; said in the log now and then, and to health at once."""

import logging
import time
from collections.abc import Callable

from ganglion_collector.backoff import Backoff
from ganglion_collector.component import RetryConfig

from ganglion_exporters._langsmith import counters
from ganglion_exporters._langsmith.client import Trouble

__all__ = ["Pause"]

_logger = logging.getLogger(__name__)

_QUIET = 5.0
"""Seconds between two log lines of one kind."""
_FOR_A_PERSON = frozenset({"key", "quota"})


class Pause:
    """The sender's trouble with LangSmith as a whole."""

    def __init__(self, retry: RetryConfig, report: Callable[[str], None]) -> None:
        self._retry = retry
        self._report = report
        self._trouble: Trouble | None = None
        self._backoff: Backoff | None = None
        self._until = 0.0
        self._said: dict[str, float] = {}

    @property
    def reason(self) -> str:
        """What the trouble is, "" for none."""
        return self._trouble.reason if self._trouble else ""

    @property
    def is_over(self) -> bool:
        """Whether no further attempt is to be made; never so where a person has to act first."""
        if self._trouble is None or self._trouble.kind in _FOR_A_PERSON or self._backoff is None:
            return False
        return self._backoff.is_over()

    def remaining(self) -> float:
        """Return for how many seconds nothing is sent, 0 for none."""
        return max(0.0, self._until - time.monotonic())

    def enter(self, trouble: Trouble) -> None:
        """Wait, each time longer, at least as long as LangSmith asked for."""
        self._backoff = self._backoff or Backoff(self._retry)
        seconds = self._backoff.next(trouble.retry_after)
        self._until = time.monotonic() + seconds
        told = f"LangSmith takes nothing now, will retry: {trouble.reason}"
        self.say(trouble.kind, told, retry_in=round(seconds, 2))
        self.note(trouble)

    def note(self, trouble: Trouble) -> None:
        """Tell of trouble that is no reason to wait."""
        self._trouble = trouble
        counters.TROUBLE.set(1)
        self._report(trouble.reason)

    def leave(self) -> None:
        """Go on: all is well, or nothing says otherwise any more."""
        if self._trouble is not None:
            _logger.info("LangSmith takes runs again")
        self._trouble, self._backoff, self._until = None, None, 0.0
        counters.TROUBLE.set(0)
        self._report("")

    def say(self, kind: str, text: str, **fields: float) -> None:
        """Log it, but not of the same kind again at once."""
        now = time.monotonic()
        if now < self._said.get(kind, 0.0):
            return
        self._said[kind] = now + _QUIET
        _logger.warning(text, extra=fields)
