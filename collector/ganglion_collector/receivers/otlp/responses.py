"""Answers to requests that were taken, whole or in part, in both encodings."""

import orjson

from ganglion_collector.errors import PartialSuccess
from ganglion_collector.otlp import Signal, response_type

__all__ = ["encode_json", "encode_protobuf"]

_REJECTED = {
    Signal.TRACES: ("rejected_spans", "rejectedSpans"),
    Signal.METRICS: ("rejected_data_points", "rejectedDataPoints"),
    Signal.LOGS: ("rejected_log_records", "rejectedLogRecords"),
}


def encode_protobuf(signal: Signal, partial: PartialSuccess | None) -> bytes:
    """Return the bytes of an `Export<Signal>ServiceResponse`: none at all when everything was taken."""
    if partial is None:
        return b""
    fields = {_REJECTED[signal][0]: partial.rejected, "error_message": partial.message}
    return response_type(signal)(partial_success=fields).SerializeToString()  # type: ignore[arg-type]


def encode_json(signal: Signal, partial: PartialSuccess | None) -> bytes:
    """Return the same in OTLP/JSON: `{}` when everything was taken. 64-bit integers are strings there."""
    if partial is None:
        return b"{}"
    fields = {_REJECTED[signal][1]: str(partial.rejected), "errorMessage": partial.message}
    return orjson.dumps({"partialSuccess": fields})
