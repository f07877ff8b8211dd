"""One record as bytes: a checked header, the metadata, the payload.

    magic 4 │ signal 1 │ - 1 │ meta size 2 │ payload size 4 │ items 4 │ sequence 8 │ received at 8 │ digest 16 │ crc 4
    meta (JSON: receiver, context) │ payload

The CRC covers header and metadata, the digest metadata and payload. Both begin with the journal's identity, which no
sender knows: bytes inside a payload can never pass for a record.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import orjson

from ganglion_collector.component import Record
from ganglion_collector.errors import InvalidRequestError, TooLargeError
from ganglion_collector.journal import Entry
from ganglion_collector.otlp import Signal

__all__ = ["HEADER_SIZE", "MAGIC", "MAX_META_BYTES", "Frame", "FrameFormat", "meta_of"]

MAGIC = b"\xf6GJ\x01"
MAX_META_BYTES = 16 * 1024
_MAX_PAYLOAD_BYTES = 0xFFFF_FFFF
_HEADER = struct.Struct("<4sBxHIIQQ16s")
_CRC = struct.Struct("<I")
_META_SIZE = struct.Struct("<BH")
HEADER_SIZE = _HEADER.size + _CRC.size

_CODES = {Signal.TRACES: 1, Signal.METRICS: 2, Signal.LOGS: 3}
_SIGNALS = {code: signal for signal, code in _CODES.items()}


class Frame(NamedTuple):
    """A record's header; `size` is all of it in bytes, on disk."""

    signal: Signal
    meta: bytes
    payload_size: int
    item_count: int
    sequence: int
    received_at: int
    digest: bytes

    @property
    def size(self) -> int:
        return self.payload_offset + self.payload_size

    @property
    def payload_offset(self) -> int:
        return HEADER_SIZE + len(self.meta)

    def record(self, payload: bytes) -> Record:
        receiver, context = _read_meta(self.meta)
        return Record(
            sequence=self.sequence,
            signal=self.signal,
            receiver=receiver,
            received_at=self.received_at,
            item_count=self.item_count,
            payload=payload,
            context=dict(context),
        )

    @property
    def receiver(self) -> str:
        return _read_meta(self.meta)[0]


class FrameFormat:
    """Writes and reads the frames of one journal."""

    def __init__(self, identity: UUID) -> None:
        self._hash = hashlib.sha256(identity.bytes)
        self._seed = zlib.crc32(identity.bytes)

    def digest(self, signal: Signal, meta: bytes, payload: bytes) -> bytes:
        """Return the 16 bytes that tell a request from every other one: signal, metadata and payload."""
        hashed = self._hash.copy()
        hashed.update(_META_SIZE.pack(_CODES[signal], len(meta)) + meta)
        hashed.update(payload)
        return hashed.digest()[:16]

    def head(self, entry: Entry, meta: bytes, digest: bytes, sequence: int) -> bytes:
        """Return what stands before the payload."""
        header = _HEADER.pack(
            MAGIC,
            _CODES[entry.signal],
            len(meta),
            len(entry.payload),
            entry.item_count,
            sequence,
            entry.received_at,
            digest,
        )
        return header + _CRC.pack(zlib.crc32(meta, zlib.crc32(header, self._seed))) + meta

    def parse(self, buffer: bytes, offset: int) -> Frame | None:
        """Return the frame that begins at `offset`; None if header and metadata are not whole and sound."""
        if len(buffer) - offset < HEADER_SIZE:
            return None
        magic, code, meta_size, payload_size, items, sequence, received_at, digest = _HEADER.unpack_from(buffer, offset)
        if magic != MAGIC or meta_size > MAX_META_BYTES or code not in _SIGNALS:
            return None
        border = offset + _HEADER.size
        meta = buffer[offset + HEADER_SIZE : offset + HEADER_SIZE + meta_size]
        crc = zlib.crc32(meta, zlib.crc32(buffer[offset:border], self._seed))
        if len(meta) < meta_size or crc != _CRC.unpack_from(buffer, border)[0]:
            return None
        return Frame(_SIGNALS[code], meta, payload_size, items, sequence, received_at, digest)

    def holds(self, frame: Frame, payload: bytes) -> bool:
        """Tell whether `payload` is what was appended."""
        return len(payload) == frame.payload_size and self.digest(frame.signal, frame.meta, payload) == frame.digest


def meta_of(entry: Entry) -> bytes:
    """Return the entry's metadata, equal for equal ones.

    Raises:
        InvalidRequestError: the context cannot be written, or is longer than 16 KiB.
        TooLargeError: the payload is 4 GiB or more.
    """
    if len(entry.payload) > _MAX_PAYLOAD_BYTES:
        raise TooLargeError("a request of 4 GiB or more")
    return _write_meta(entry.receiver, tuple(sorted(entry.context.items())))


@lru_cache(maxsize=256)
def _write_meta(receiver: str, context: tuple[tuple[str, str], ...]) -> bytes:
    try:
        meta = orjson.dumps([receiver, dict(context)])
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"the request's context cannot be stored: {error}") from None
    if len(meta) > MAX_META_BYTES:
        raise InvalidRequestError(f"the request's context takes {len(meta)} bytes; {MAX_META_BYTES} are allowed")
    return meta


@lru_cache(maxsize=256)
def _read_meta(meta: bytes) -> tuple[str, Mapping[str, str]]:
    receiver, context = orjson.loads(meta)
    return receiver, context
