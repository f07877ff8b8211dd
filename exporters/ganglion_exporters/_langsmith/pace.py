"""No more runs and requests in a second than LangSmith's limits, or its user's budget, allow."""

import asyncio
import time

__all__ = ["Pace"]


class Pace:
    """Hands out turns; rates are per second, 0 for no limit. What was saved up lets at most a second's worth burst."""

    def __init__(self, runs: float, requests: float) -> None:
        self._runs, self._requests = _Bucket(runs), _Bucket(requests)

    async def wait(self, runs: int) -> None:
        """Return when a request of `runs` may go."""
        seconds = max(self._runs.take(runs), self._requests.take(1))
        if seconds > 0:
            await asyncio.sleep(seconds)


class _Bucket:
    """Each turn is booked at once, so that those who wait at the same time wait one after the other."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = time.monotonic()

    def take(self, amount: int) -> float:
        """Return how many seconds from now `amount` may go."""
        if not self._rate:
            return 0.0
        now = time.monotonic()
        self._next = max(self._next, now - 1.0)
        wait = self._next - now
        self._next += amount / self._rate
        return max(0.0, wait)
