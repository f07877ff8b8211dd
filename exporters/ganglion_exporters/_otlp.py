"""What both OTLP exporters share: one request for a batch, and how a destination's answer is understood."""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, TypeAlias

import grpc
from ganglion_collector.component import Batch, BatchConfig, ExporterConfig, SendingQueueConfig, Signal
from ganglion_collector.errors import ExportError, PartialSuccess, PermanentError, RetryableError
from ganglion_collector.otlp import response_type
from ganglion_collector.tls import TLSClientConfig
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from pydantic import Field, SecretStr, field_validator

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REJECTED = {
    Signal.TRACES: "rejected_spans",
    Signal.METRICS: "rejected_data_points",
    Signal.LOGS: "rejected_log_records",
}

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a1-\uffff]+")

# https://opentelemetry.io/docs/specs/otlp/#failures and #retryable-response-codes
_RETRYABLE_GRPC = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_RETRYABLE_HTTP = {429, 502, 503, 504}
# What is refused with these is the sender or the service, so no part of the request would fare better.
_INDIVISIBLE_GRPC = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.NOT_FOUND,
}
# Only these may be about some item of the request.
_DIVISIBLE_HTTP = {400, 413, 422, 500}

LARGEST_RESPONSE = 4 * 1024 * 1024
"""Bytes of an answer that are read (OTLP specification, message size limits)."""

LONGEST_DELAY = 3600.0
"""Seconds; a destination that asks for a longer wait is asked again after this."""
USER_AGENT = f"Ganglion/{version('ganglion')}"


Headers: TypeAlias = dict[str, SecretStr]


class OTLPBatchConfig(BatchConfig):
    """A batch is one request, so it must stay below what the destination takes."""

    max_size_bytes: int = Field(default=3 * 1024 * 1024, ge=1)
    """Most bytes in a request before compression; OpenTelemetry Collectors take 4 MiB over gRPC."""


class OTLPSendingQueueConfig(SendingQueueConfig):
    """The Collector's `sending_queue`; the journal is the queue, so only the batch can be set."""

    batch: OTLPBatchConfig = OTLPBatchConfig()  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    """How batches are cut from the journal."""


class OTLPExporterConfig(ExporterConfig):
    """The keys that both OTLP exporters have."""

    sending_queue: OTLPSendingQueueConfig = OTLPSendingQueueConfig()  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    """How requests are cut from the journal."""
    headers: dict[str, SecretStr] = Field(default={})
    """Sent with every request; values never appear in a log."""
    tls: TLSClientConfig = TLSClientConfig()
    """How the destination is authenticated, and this collector to it."""
    auth: None = None
    """Not supported here: credentials go into `headers`."""

    @field_validator("auth", mode="before")
    @classmethod
    def _refuse_auth(cls, value: Any) -> None:
        if value is not None:
            raise ValueError("exporters have no authenticators; set headers::authorization instead")

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: Headers) -> Headers:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is not a header name")
            text = value.get_secret_value()
            if not (text.isascii() and text.isprintable()):
                raise ValueError(f"the value of {name!r} holds characters that a header cannot carry")
        return headers


def request_bytes(batch: Batch) -> bytes:
    """Return one request that holds the batch's records, their bytes as they were received.

    Concatenated protobuf messages of one type are their merge: repeated fields follow each other
    (https://protobuf.dev/programming-guides/encoding/#last-one-wins). A batch is taken or refused as a whole.
    """
    return b"".join(record.payload for record in batch.records)


def partial_success(signal: Signal, body: bytes, component: str) -> PartialSuccess | None:
    """Return what an answer says was rejected, None for full success; it must not be retried either way."""
    try:
        answer = response_type(signal).FromString(body)
    except DecodeError:
        logging.getLogger(component).warning("the destination's answer to an accepted request is unreadable")
        return None
    rejected = int(getattr(answer.partial_success, _REJECTED[signal]))
    message = printable(answer.partial_success.error_message)
    if not rejected and not message:
        return None
    return PartialSuccess(max(0, rejected), message)


def grpc_error(error: grpc.aio.AioRpcError) -> ExportError:
    """Tell what a destination's gRPC status means; RESOURCE_EXHAUSTED is retryable only with a delay to wait."""
    code = error.code()
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    delay = _retry_delay(_status(details) if isinstance(details, bytes) else None)
    message = f"{code.name}: {printable(error.details() or '')}"
    if code in _RETRYABLE_GRPC or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay is not None):
        return RetryableError(message, delay)
    return PermanentError(message, divisible=code not in _INDIVISIBLE_GRPC)


def http_error(code: int, headers: Mapping[str, str], body: bytes) -> ExportError:
    """Tell what a destination's HTTP status means; header names are lower case."""
    status = _status(body) if headers.get("content-type", "").startswith("application/x-protobuf") else None
    reason = printable(status.message) if status is not None else ""
    message = f"HTTP {code}: {reason}" if reason else f"HTTP {code}"
    if code not in _RETRYABLE_HTTP:
        return PermanentError(message, divisible=code in _DIVISIBLE_HTTP)
    asked = _retry_after(headers.get("retry-after", ""))
    return RetryableError(message, _retry_delay(status) if asked is None else asked)


def printable(text: str, limit: int = 300) -> str:
    """Make a destination's words fit for one line of a log."""
    line = _UNPRINTABLE.sub(" ", text).strip()
    return line if len(line) <= limit else f"{line[:limit]}…"


def _status(body: bytes) -> Status | None:
    try:
        return Status.FromString(body)
    except DecodeError:
        return None


def _retry_delay(status: Status | None) -> float | None:
    """Return the seconds of the status's `RetryInfo`, None where it has none."""
    info = RetryInfo()
    for detail in status.details if status else ():
        try:
            if detail.Unpack(info):
                return _bounded(info.retry_delay.seconds + info.retry_delay.nanos * 1e-9)
        except DecodeError:
            continue
    return None


def _retry_after(value: str) -> float | None:
    """Read `Retry-After`, whole seconds or an HTTP date (RFC 9110, 10.2.3), as seconds from now."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return _bounded(float(text))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _bounded((moment - datetime.now(UTC)).total_seconds())


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_DELAY)
