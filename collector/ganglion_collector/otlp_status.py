"""How every error is told to a sender, and what a destination's answer means to an exporter.

Tables: OTLP specification, "Failures" for gRPC and HTTP; the Collector for what it leaves open.
"""

import base64
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import grpc
import orjson
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from ganglion_collector.errors import (
    ExportError,
    InvalidRequestError,
    PermanentError,
    RefusedError,
    RetryableError,
    TooLargeError,
    UnauthenticatedError,
)

__all__ = [
    "LONGEST_DELAY",
    "RETRYABLE_GRPC",
    "RETRYABLE_HTTP",
    "STATUS_DETAILS_KEY",
    "grpc_export_error",
    "grpc_status",
    "http_export_error",
    "http_status",
    "http_status_of",
    "parse_retry_after",
    "printable",
    "status_json",
]

STATUS_DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata in which gRPC carries a serialised `google.rpc.Status`."""

RETRYABLE_GRPC = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes a client retries; besides them RESOURCE_EXHAUSTED when it carries a RetryInfo."""

RETRYABLE_HTTP = frozenset({429, 502, 503, 504})
"""Statuses a client retries."""

# Whether a smaller part of what was refused for good may fare better; a wrong address or credential will not.
_WHOLE_GRPC = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.NOT_FOUND,
    }
)
_DIVISIBLE_HTTP = frozenset({400, 413, 422, 500})

LONGEST_DELAY = 3600.0
"""Seconds; a destination that asks for more is asked again after this."""

_INTERNAL_TEXT = "internal error; the collector's log says more"

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a1-\uffff]+")

_HTTP_BY_GRPC = {
    grpc.StatusCode.CANCELLED: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 503,
    grpc.StatusCode.ABORTED: 503,
    grpc.StatusCode.OUT_OF_RANGE: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 503,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNIMPLEMENTED: 404,
}


def grpc_status(error: BaseException) -> tuple[grpc.StatusCode, Status]:
    """Return the code and the `google.rpc.Status` for `error`; an unknown error is INTERNAL and says nothing of it.

    A refusal carries RetryInfo, a wrong request BadRequest; one that is too large is RESOURCE_EXHAUSTED without
    RetryInfo, which tells the sender not to retry.
    """
    match error:
        case RefusedError():
            return _answer(grpc.StatusCode.UNAVAILABLE, str(error), _retry_info(error.retry_after))
        case InvalidRequestError():
            return _answer(grpc.StatusCode.INVALID_ARGUMENT, str(error), _bad_request(str(error)))
        case TooLargeError():
            return _answer(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        case UnauthenticatedError():
            return _answer(grpc.StatusCode.UNAUTHENTICATED, str(error))
        case _:
            return _answer(grpc.StatusCode.INTERNAL, _INTERNAL_TEXT)


def http_status(error: BaseException) -> tuple[int, Status, Mapping[str, str]]:
    """Return the HTTP status, the body's message and the headers that belong to `error`."""
    code, status = grpc_status(error)
    if isinstance(error, TooLargeError):
        return 413, status, {}
    if isinstance(error, RefusedError):
        return 503, status, {"retry-after": str(max(1, math.ceil(error.retry_after)))}
    return http_status_of(code), status, {}


def http_status_of(code: grpc.StatusCode) -> int:
    """Return the HTTP status that stands for a gRPC code (the Collector's table)."""
    return _HTTP_BY_GRPC.get(code, 500)


def status_json(status: Status) -> bytes:
    """Write a Status in proto3 JSON; of its details the two that we send."""
    document: dict[str, Any] = {"code": status.code, "message": status.message}
    if status.details:
        document["details"] = [_detail_json(detail) for detail in status.details]
    return orjson.dumps(document)


def _answer(code: grpc.StatusCode, message: str, *details: RetryInfo | BadRequest) -> tuple[grpc.StatusCode, Status]:
    status = Status(code=int(code.value[0]), message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return code, status


def _retry_info(seconds: float) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(max(0, round(seconds * 1e9)))
    return info


def _bad_request(message: str) -> BadRequest:
    path, colon, description = message.partition(": ")
    if not colon or " " in path:
        path, description = "", message
    return BadRequest(field_violations=[BadRequest.FieldViolation(field=path, description=description)])


def _detail_json(detail: AnyMessage) -> dict[str, Any]:
    info, request = RetryInfo(), BadRequest()
    if detail.Unpack(info):
        return {"@type": detail.type_url, "retryDelay": info.retry_delay.ToJsonString()}
    if detail.Unpack(request):
        violations = [
            {"field": item.field, "description": item.description} if item.field else {"description": item.description}
            for item in request.field_violations
        ]
        return {"@type": detail.type_url, "fieldViolations": violations}
    return {"@type": detail.type_url, "value": base64.b64encode(detail.value).decode()}


def grpc_export_error(code: grpc.StatusCode, message: str, details: bytes = b"") -> ExportError:
    """Return what a destination's gRPC status means: retry (with its delay) or not.

    `details` is the value of `grpc-status-details-bin`.
    """
    delay = _retry_delay(_parse(details))
    text = f"{code.name}: {printable(message)}" if message else code.name
    if code in RETRYABLE_GRPC or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay is not None):
        return RetryableError(text, delay)
    return PermanentError(text, divisible=code not in _WHOLE_GRPC)


def http_export_error(status: int, headers: Mapping[str, str], body: bytes) -> ExportError:
    """Return what a destination's HTTP status means; header names are lower case.

    The text is the Status's message where the body is one. `Retry-After` goes before a RetryInfo.
    """
    content_type = headers.get("content-type", "")
    answer = _parse(body) if content_type.startswith("application/x-protobuf") else None
    message = _json_message(body) if "json" in content_type else answer.message if answer else ""
    text = f"HTTP {status}: {printable(message)}" if message else f"HTTP {status}"
    if status in RETRYABLE_HTTP:
        asked = parse_retry_after(headers.get("retry-after", ""))
        return RetryableError(text, _retry_delay(answer) if asked is None else asked)
    return PermanentError(text, divisible=status in _DIVISIBLE_HTTP)


def parse_retry_after(value: str) -> float | None:
    """Read `Retry-After`, whole seconds or an HTTP date (RFC 9110, 10.2.3), as seconds from now; None if neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return _bounded(float(text))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _bounded((moment - datetime.now(UTC)).total_seconds())


def printable(text: str, limit: int = 300) -> str:
    """Make a destination's words fit for one line of a log."""
    line = _UNPRINTABLE.sub(" ", text).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_DELAY)


def _parse(body: bytes) -> Status | None:
    try:
        return Status.FromString(body)
    except DecodeError:
        return None


def _retry_delay(status: Status | None) -> float | None:
    info = RetryInfo()
    for detail in status.details if status else ():
        try:
            found = detail.Unpack(info)
        except DecodeError:
            continue
        if found:
            return _bounded(info.retry_delay.seconds + info.retry_delay.nanos * 1e-9)
    return None


def _json_message(body: bytes) -> str:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    message = cast("dict[str, Any]", document).get("message") if isinstance(document, dict) else None
    return message if isinstance(message, str) else ""
