"""Every error of the collector, and how each one is told to a sender.

    CollectorError
    ├── ConfigError(path, value, reason, hint)   one wrong thing in a configuration
    ├── StartError(message)                      something the collector needs cannot be had: what, and what to do
    ├── JournalLostError(message)                the journal's files were taken away while in use
    ├── InvalidRequestError(message)             a request that can never be accepted
    ├── TooLargeError(message)                   a request past the size limit
    ├── UnauthenticatedError(message)            a request without valid credentials
    ├── RefusedError(message, retry_after)       full or busy: the sender may retry
    └── ExportError
        ├── RetryableError(message, retry_after) the destination may take it later
        └── PermanentError(message)              the destination will never take it

    PartialSuccess(rejected, message) is not an error: the rest was accepted.

How an error becomes a gRPC or an HTTP status is written once, in `ganglion_collector.otlp_status`.
"""

from dataclasses import dataclass
from typing import Any

__all__ = [
    "CollectorError",
    "ConfigError",
    "ExportError",
    "InvalidConfigError",
    "InvalidRequestError",
    "JournalLostError",
    "PartialSuccess",
    "PermanentError",
    "RefusedError",
    "RetryableError",
    "StartError",
    "TooLargeError",
    "UnauthenticatedError",
]


class CollectorError(Exception):
    """Base of every error that this project raises."""


class ConfigError(CollectorError):
    """One wrong thing in a configuration.

    Args:
        path: where it is, in the Collector's form: `receivers::otlp::protocols`.
        value: what stands there; never a secret.
        reason: why it is wrong.
        hint: what to write instead.
    """

    def __init__(self, path: str, value: Any, reason: str, hint: str) -> None:
        super().__init__(path, value, reason, hint)
        self.path = path
        self.value = value
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        value = "" if self.value is None else f" = {self.value!r}"
        return f"{self.path}{value}: {self.reason}; {self.hint}"


class InvalidConfigError(CollectorError):
    """All that is wrong in a configuration, at least one error."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class StartError(CollectorError):
    """Something the collector needs cannot be had; the one-line message names it and what to do."""


class JournalLostError(CollectorError):
    """The journal's files were deleted, moved or replaced while in use: whoever has them open must open them anew."""


class InvalidRequestError(CollectorError):
    """A request that can never be accepted: the sender must not retry it."""


class TooLargeError(CollectorError):
    """A request past the size limit, before or after decompression; must not be retried."""


class UnauthenticatedError(CollectorError):
    """A request without valid credentials."""


class RefusedError(CollectorError):
    """No room now; `retry_after` is the delay in seconds that the sender is asked to keep."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, retry_after)
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message


class ExportError(CollectorError):
    """A destination did not take a batch."""


class RetryableError(ExportError):
    """The destination may take the same batch later.

    `retry_after`: seconds the destination asked to wait, or None; it overrules a shorter back-off.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after)
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message


class PermanentError(ExportError):
    """The destination will never take this batch as it is.

    `divisible`: False where no part of the batch would fare better (wrong credentials, no such service), so that
    splitting it is of no use.
    """

    def __init__(self, message: str, *, divisible: bool = True) -> None:
        super().__init__(message)
        self.divisible = divisible


@dataclass(frozen=True, slots=True)
class PartialSuccess:
    """Some items of a request were rejected, the others accepted.

    `rejected` may be 0 with a message: a warning (OTLP specification, partial success).
    """

    rejected: int
    message: str
