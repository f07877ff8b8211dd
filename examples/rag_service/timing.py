"""How long a step took."""

import time

__all__ = ["ms_since", "now"]

now = time.perf_counter


def ms_since(start: float) -> float:
    """Return the milliseconds since `start`, which `now` gave."""
    return round((now() - start) * 1000, 3)
