"""Refuses new requests while the receiver process holds too much memory."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import psutil
from pydantic import Field, model_validator

from ganglion_collector.component import Config, Duration, ProcessorFactory
from ganglion_collector.errors import RefusedError

__all__ = ["MemoryLimiter", "MemoryLimiterConfig", "factory", "total_memory"]

_MIB = 1024 * 1024
_DEFAULT_SPIKE = 0.2
_RETRY_AFTER = 1.0


class MemoryLimiterConfig(Config):
    """The Collector's keys. The backlog is on disk, so this bounds only the requests in flight."""

    without_effect: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "ballast_size_mib",
            "min_gc_interval_when_soft_limited",
            "min_gc_interval_when_hard_limited",
            "max_gc_interval_when_soft_limited",
            "max_gc_interval_when_hard_limited",
        ),
        "requests are freed as soon as they are answered; no collection needs to be forced",
    )

    check_interval: Duration = Field(gt=0)
    """How old a measurement of the process's memory may be; 1s is usual."""
    limit_mib: int = Field(default=0, ge=0)
    """The hard limit; requests are refused from `limit_mib` - `spike_limit_mib` on."""
    spike_limit_mib: int = Field(default=0, ge=0)
    """Room for what comes between two measurements; 0 is a fifth of `limit_mib`."""
    limit_percentage: int = Field(default=0, ge=0, le=100)
    """The hard limit as a share of the memory of the machine or container; used when `limit_mib` is 0."""
    spike_limit_percentage: int = Field(default=0, ge=0, le=100)
    """Room for a spike as such a share; 0 is a fifth of the limit."""

    @model_validator(mode="after")
    def _limits_fit(self) -> "MemoryLimiterConfig":
        if not self.limit_mib and not self.limit_percentage:
            raise ValueError("there is neither limit_mib nor limit_percentage; set one of them")
        if self.limit_mib and self.spike_limit_mib >= self.limit_mib:
            raise ValueError("spike_limit_mib is not less than limit_mib; lower it, 0 takes a fifth")
        if not self.limit_mib and self.spike_limit_percentage >= self.limit_percentage:
            raise ValueError("spike_limit_percentage is not less than limit_percentage; lower it, 0 takes a fifth")
        return self

    def soft_limit(self, total_bytes: int) -> int:
        """Return the bytes of resident memory from which requests are refused, on a machine with `total_bytes`."""
        if self.limit_mib:
            limit, spike = self.limit_mib * _MIB, self.spike_limit_mib * _MIB
        else:
            limit = total_bytes * self.limit_percentage // 100
            spike = total_bytes * self.spike_limit_percentage // 100
        return limit - (spike or int(limit * _DEFAULT_SPIKE))


class MemoryLimiter:
    """Admits a request while the resident memory of this process, and the request, stay under the limit."""

    def __init__(self, soft_limit: int, check_interval: float, resident: Callable[[], int]) -> None:
        self._soft_limit = soft_limit
        self._check_interval = check_interval
        self._resident = resident
        self._measured_at = -float("inf")
        self._measured = 0

    def admit(self, size_bytes: int) -> None:
        now = time.monotonic()
        if now - self._measured_at >= self._check_interval:
            self._measured_at, self._measured = now, self._resident()
        if self._measured + size_bytes > self._soft_limit:
            raise RefusedError("data refused due to high memory usage", _RETRY_AFTER)


def total_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory of the container this runs in, or of the machine; `cgroup` is version 2 or 1."""
    limits = [psutil.virtual_memory().total]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            limits.append(int((cgroup / name).read_text()))
    return min(limits)


def _limiter(config: MemoryLimiterConfig) -> MemoryLimiter:
    process = psutil.Process()
    soft_limit = config.soft_limit(total_memory())
    return MemoryLimiter(soft_limit, config.check_interval, lambda: process.memory_info().rss)


factory = ProcessorFactory(component_type="memory_limiter", config=MemoryLimiterConfig, create=_limiter)
