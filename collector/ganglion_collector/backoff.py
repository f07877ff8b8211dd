"""Waits between attempts: exponential, spread at random, as the Collector's `retry_on_failure` has them."""

import random
import time

from ganglion_collector.component import RetryConfig

__all__ = ["Backoff"]


class Backoff:
    """The waits after the failures of one attempt after another."""

    def __init__(self, config: RetryConfig) -> None:
        self._config = config
        self._interval = config.initial_interval
        self._started = time.monotonic()

    def next(self, retry_after: float | None = None) -> float:
        """Return the seconds to wait now; `retry_after`, what the destination asked for, overrules less."""
        spread = self._config.randomization_factor
        wait = self._interval * random.uniform(1 - spread, 1 + spread)  # noqa: S311 (no secret)
        self._interval = min(self._interval * self._config.multiplier, self._config.max_interval)
        return max(wait, retry_after or 0.0)

    def is_over(self) -> bool:
        """Tell whether no further attempt is to be made."""
        config = self._config
        if not config.enabled:
            return True
        elapsed = time.monotonic() - self._started
        return config.max_elapsed_time > 0 and elapsed + self._interval > config.max_elapsed_time
