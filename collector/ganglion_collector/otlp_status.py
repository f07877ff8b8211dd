"""How every error is told to a sender, and what a destination's answer means to an exporter.

Tables: OTLP specification, "Failures" for gRPC and HTTP; the Collector for what it leaves open.
"""

import base64
import email.utils
import math
import time
from collections.abc import Mapping
from typing import Any, cast

import grpc
import orjson
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.code_pb2 import Code
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
    "RETRYABLE_GRPC",
    "RETRYABLE_HTTP",
    "STATUS_DETAILS_KEY",
    "grpc_export_error",
    "grpc_status",
    "http_export_error",
    "http_status",
    "http_status_of",
    "parse_retry_after",
    "retry_delay",
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

INTERNAL_TEXT = "internal error; the collector's log says more"

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
            return _answer(grpc.StatusCode.INTERNAL, INTERNAL_TEXT)


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
        violations = [{"field": item.field, "description": item.description} for item in request.field_violations]
        return {"@type": detail.type_url, "fieldViolations": violations}
    return {"@type": detail.type_url, "value": base64.b64encode(detail.value).decode()}


def retry_delay(details: bytes) -> float | None:
    """Return the RetryInfo delay in seconds of a serialised Status, None if there is none or it is not one."""
    try:
        status = Status.FromString(details)
    except DecodeError:
        return None
    info = RetryInfo()
    for detail in status.details:
        try:
            if detail.Unpack(info):
                return max(0.0, info.retry_delay.ToNanoseconds() / 1e9)
        except DecodeError:
            continue
    return None


def grpc_export_error(code: grpc.StatusCode, message: str, details: bytes = b"") -> ExportError:
    """Return what a destination's gRPC status means: retry (with its delay) or not.

    `details` is the value of `grpc-status-details-bin`.
    """
    delay = retry_delay(details)
    text = f"{code.name}: {message}" if message else code.name
    if code in RETRYABLE_GRPC or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay is not None):
        return RetryableError(text, delay)
    return PermanentError(text)


def http_export_error(status: int, headers: Mapping[str, str], body: bytes) -> ExportError:
    """Return what a destination's HTTP status means; header names are lower case.

    The text is the Status's message where the body is one, else the number alone.
    """
    message = _status_message(headers.get("content-type", ""), body)
    text = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in RETRYABLE_HTTP:
        return RetryableError(text, parse_retry_after(headers.get("retry-after", "")))
    return PermanentError(text)


def parse_retry_after(value: str) -> float | None:
    """Read `Retry-After`, seconds or an HTTP date, as seconds from now; None if it is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _status_message(content_type: str, body: bytes) -> str:
    try:
        if "json" in content_type:
            return _json_message(orjson.loads(body))
        if "protobuf" in content_type:
            status = Status.FromString(body)
            return status.message or (Code.Name(status.code) if status.code in Code.values() else "")
    except (DecodeError, orjson.JSONDecodeError):
        return ""
    return ""


def _json_message(document: Any) -> str:
    if not isinstance(document, dict):
        return ""
    message = cast("dict[str, Any]", document).get("message")
    return message if isinstance(message, str) else ""
