"""How every error is told to a sender, over gRPC and over HTTP.

Sources: OTLP specification, "Failures" for gRPC and HTTP; the Collector for what it leaves open.
"""

import base64
import math
from collections.abc import Mapping
from typing import Any

import grpc
import orjson
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from ganglion_collector.errors import (
    InvalidRequestError,
    RefusedError,
    TooLargeError,
    UnauthenticatedError,
)

__all__ = [
    "LONGEST_DELAY",
    "STATUS_DETAILS_KEY",
    "grpc_status",
    "http_status",
    "http_status_of",
    "printable",
    "status_json",
]

STATUS_DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata in which gRPC carries a serialised `google.rpc.Status`."""

_INTERNAL_TEXT = "internal error; the collector's log says more"

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
        violations = [{"field": item.field, "description": item.description} for item in request.field_violations]
        return {"@type": detail.type_url, "fieldViolations": violations}
    return {"@type": detail.type_url, "value": base64.b64encode(detail.value).decode()}
