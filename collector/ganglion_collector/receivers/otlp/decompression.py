"""Decompress a request's body, never more of it than its limit."""

import zlib
from collections.abc import Callable, Iterator

import zstandard

from ganglion_collector.errors import InvalidRequestError, TooLargeError

__all__ = ["ENCODINGS", "decompress", "sniff"]

_SLICE = 64 * 1024
_PIECE = 1024 * 1024
_MAX_MEMBERS = 1024
_ZSTD_WINDOW = 8 * 1024 * 1024
"""The largest window that `Content-Encoding: zstd` may need (RFC 9659)."""


def decompress(encoding: str, body: bytes, limit: int, reserve: Callable[[int], None]) -> bytes:
    """Return `body` decompressed; `encoding` is one of `ENCODINGS`.

    `reserve(n)` is called for each piece of output before the next is made; what it raises ends the work.

    Raises:
        InvalidRequestError: the body is truncated, damaged, or has something after its end.
        TooLargeError: the result would be larger than `limit`.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in _STREAMS[encoding](body, limit):
            size += len(piece)
            _check_size(size, limit)
            reserve(len(piece))
            pieces.append(piece)
    except (zlib.error, zstandard.ZstdError) as error:
        raise InvalidRequestError(f"the body is not valid {encoding}: {error}") from None
    return b"".join(pieces)


def sniff(message: bytes) -> str | None:
    """Tell the encoding of a gRPC message by its first bytes, None when it is not compressed.

    No OTLP request begins like that: its first byte is 0x0a, the tag of its only field.
    """
    if message.startswith(b"\x1f\x8b"):
        return "gzip"
    if message.startswith(b"\x78") and len(message) > 1 and int.from_bytes(message[:2]) % 31 == 0:
        return "deflate"
    return None


def _gunzip(body: bytes, _limit: int) -> Iterator[bytes]:
    return _inflate(body, 16 + zlib.MAX_WBITS, _MAX_MEMBERS)


def _unzlib(body: bytes, _limit: int) -> Iterator[bytes]:
    return _inflate(body, zlib.MAX_WBITS, 1)


def _inflate(body: bytes, wbits: int, members: int) -> Iterator[bytes]:
    stream = zlib.decompressobj(wbits)
    for data in _slices(body):
        rest = data
        while rest:
            if stream.eof:
                members -= 1
                stream = zlib.decompressobj(wbits)
            if members < 1:
                raise zlib.error("data after the end")
            yield stream.decompress(rest, _PIECE)
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
    while piece := stream.decompress(b"", _PIECE):
        yield piece
    if not stream.eof:
        raise zlib.error("it ends too early")


def _unzstd(body: bytes, limit: int) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    # The reader bounds its output but is content with a truncated frame; the object is the other way round.
    _measure(decompressor, body, limit)
    members = _MAX_MEMBERS
    stream = decompressor.decompressobj()
    for data in _slices(body):
        rest = data
        while rest:
            if stream.eof:
                members -= 1
                stream = decompressor.decompressobj()
            if members < 1:
                raise zstandard.ZstdError("too many frames")
            yield stream.decompress(rest)
            rest = stream.unused_data if stream.eof else b""
    if not stream.eof:
        raise zstandard.ZstdError("it ends too early")


def _measure(decompressor: zstandard.ZstdDecompressor, body: bytes, limit: int) -> None:
    reader = decompressor.stream_reader(body, read_across_frames=True)
    size = 0
    while piece := reader.read(_PIECE):
        size += len(piece)
        _check_size(size, limit)


def _slices(body: bytes) -> Iterator[bytes]:
    # Both libraries copy what follows the end of a member, or is left of the input, at every call.
    return (body[offset : offset + _SLICE] for offset in range(0, len(body), _SLICE))


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(f"the request is larger than {limit} bytes after decompression")


_STREAMS: dict[str, Callable[[bytes, int], Iterator[bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _unzlib,
    "zlib": _unzlib,
    "zstd": _unzstd,
}

ENCODINGS = frozenset(_STREAMS)
"""Values of `Content-Encoding` that `decompress` knows."""
