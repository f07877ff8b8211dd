"""Ids that LangSmith knows a trace and its spans by, made of OTLP's alone: whoever has the span has the link."""

import hashlib
from uuid import UUID

__all__ = ["run_id", "trace_uuid"]

_KEY = b"ganglion/langsmith/1"
_SAME_TIME = 3_600_000
_NANOSECONDS = 1_000_000


def run_id(trace_id: bytes, span_id: bytes, start: int, project: str = "") -> UUID:
    """Return the UUIDv7 of a span that starts at `start`, in Unix nanoseconds; the same span has always the same one.

    LangSmith looks runs up by the time in the id, and keeps one run of an id in a workspace, whatever its project: a
    span that goes to a second project needs the name of that in `project`.
    """
    digest = hashlib.blake2b(trace_id + span_id + project.encode(), digest_size=10, key=_KEY).digest()
    octets = bytearray(_milliseconds(start).to_bytes(6, "big") + digest)
    octets[6] = 0x70 | octets[6] & 0x0F
    octets[8] = 0x80 | octets[8] & 0x3F
    return UUID(bytes=bytes(octets))


def trace_uuid(trace_id: bytes, start: int) -> UUID:
    """Return the id of a trace and of its root run: `trace_id` (16 bytes), one of whose spans starts at `start`.

    A random id that looks like version 7 of another time would not be found by LangSmith; it becomes version 8
    (RFC 9562, section 5.8). `start` is in Unix nanoseconds, any span's of the trace.
    """
    octets = bytearray(trace_id)
    if octets[6] >> 4 == 7 and abs(int.from_bytes(octets[:6], "big") - start // _NANOSECONDS) > _SAME_TIME:
        octets[6] = 0x80 | octets[6] & 0x0F
    return UUID(bytes=bytes(octets))


def _milliseconds(start: int) -> int:
    return start // _NANOSECONDS & (1 << 48) - 1
