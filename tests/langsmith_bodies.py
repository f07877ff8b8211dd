"""Bodies of requests to LangSmith read: compression undone, multipart parts and JSON batches as operations on runs."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson
import zstandard
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from tests.langsmith_rules import RejectedError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["File", "Operation", "batch_operations", "decompressed", "multipart_operations", "read_json"]

Event: TypeAlias = Literal["post", "patch"]

_PART = re.compile(r"(post|patch)\.([^.]+)(?:\.(inputs|outputs|events|extra|error|serialized))?")
_FEEDBACK = re.compile(r"feedback\.([^.]+)")
_ATTACHMENT = re.compile(r"attachment\.([^.]+)\.([^.]+)")
_NAME = re.compile(r'; *name="([^"]*)"')
_LENGTH = re.compile(r"; *length=(\d+)")
_PERHAPS_TOO_BIG = re.compile(rb"\d{19}")


@dataclass(frozen=True)
class File:
    """An attachment as it arrived."""

    name: str
    mime_type: str
    content: bytes


@dataclass
class Operation:
    """One run created or updated: its fields put together from their parts, and its attachments."""

    event: Event
    run: dict[str, Any]
    files: list[File] = field(default_factory=list[File])

    @property
    def key(self) -> tuple[str, str]:
        return self.event, str(self.run.get("id")).lower()


@dataclass
class _Part:
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytearray = field(default_factory=bytearray)
    name: str = ""

    @property
    def mime_type(self) -> str:
        return self.headers["content-type"].partition("; length=")[0]

    @property
    def length(self) -> str | None:
        if "content-length" in self.headers:
            return self.headers["content-length"]
        found = _LENGTH.search(self.headers.get("content-type", ""))
        return found[1] if found else None


def decompressed(body: bytes, encoding: str, limit: int, *, zstd: bool) -> bytes:
    """Undo `Content-Encoding`; refuse what becomes larger than `limit`."""
    try:
        match encoding:
            case "":
                plain = body
            case "gzip":
                plain = gzip.decompress(body)
            case "zstd" if zstd:
                with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
                    plain = reader.read(limit + 1)
            case _:
                raise RejectedError(415, f"unsupported content encoding {encoding}")
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise RejectedError(400, f"cannot decompress the body: {error}") from None
    if len(plain) > limit:
        raise RejectedError(413, f"request body of more than {limit} bytes")
    return plain


def read_json(text: bytes, where: str) -> Any:
    try:
        # orjson makes floats of integers that are too long: those the other parser must see.
        return json.loads(text) if _PERHAPS_TOO_BIG.search(text) else orjson.loads(text)
    except ValueError as error:
        raise RejectedError(422, f"Unprocessable entity: invalid JSON in {where}: {error}") from None


def batch_operations(body: bytes) -> list[Operation]:
    """Read the body of `/runs/batch`."""
    batch = read_json(body, "batch")
    if not isinstance(batch, dict) or not batch.keys() <= {"post", "patch"}:
        raise RejectedError(422, "invalid batch JSON: expected an object with post and patch")
    operations = list[Operation]()
    for event in ("post", "patch"):
        for index, run in enumerate(batch.get(event) or []):
            if not isinstance(run, dict):
                raise RejectedError(422, f"invalid batch JSON: batch schema error {event}.{index}: expected an object")
            operations.append(Operation(event, run))
    return operations


def multipart_operations(body: bytes, content_type: str) -> tuple[list[Operation], list[dict[str, Any]]]:
    """Read the body of `/runs/multipart`: operations in their order, and feedback."""
    operations, feedback = dict[tuple[str, str], Operation](), list[dict[str, Any]]()
    parts = list(_parts(body, content_type))
    for part in parts:
        _check_headers(part)
        if found := _PART.fullmatch(part.name):
            _add_field(operations, part, found)
        elif found := _FEEDBACK.fullmatch(part.name):
            feedback.append(read_json(bytes(part.body), part.name))
        elif not _ATTACHMENT.fullmatch(part.name):
            raise RejectedError(422, f"Unprocessable entity: unknown part name {part.name!r}")
    for part in parts:
        if found := _ATTACHMENT.fullmatch(part.name):
            _operation_of(operations, found[1]).files.append(File(found[2], part.mime_type, bytes(part.body)))
    return list(operations.values()), feedback


def _operation_of(operations: Mapping[tuple[str, str], Operation], run_id: str) -> Operation:
    for event in ("post", "patch"):
        if (event, run_id) in operations:
            return operations[event, run_id]
    raise RejectedError(422, f"Unprocessable entity: attachment of run {run_id}, which is not in the request")


def _add_field(operations: dict[tuple[str, str], Operation], part: _Part, found: re.Match[str]) -> None:
    event: Event = "post" if found[1] == "post" else "patch"
    run_id, name = found[2], found[3]
    value = read_json(bytes(part.body), part.name)
    if name:
        if (event, run_id) not in operations:
            raise RejectedError(422, f"Unprocessable entity: {part.name} comes without or before {event}.{run_id}")
        operations[event, run_id].run[name] = value
        return
    if not isinstance(value, dict) or str(value.get("id")) != run_id:
        raise RejectedError(422, f"Unprocessable entity: error parsing run for {part.name}: its id is another")
    if (event, run_id) in operations:
        raise RejectedError(422, f"Unprocessable entity: {part.name} comes twice")
    operations[event, run_id] = Operation(event, value)


def _check_headers(part: _Part) -> None:
    length = part.length
    if "content-type" not in part.headers or length is None:
        raise RejectedError(422, f"Unprocessable entity: part {part.name!r} needs Content-Type and a length")
    if "content-encoding" in part.headers:
        raise RejectedError(422, f"Unprocessable entity: part {part.name!r} must not have a Content-Encoding")
    if length != str(len(part.body)):
        raise RejectedError(422, f"Unprocessable entity: part {part.name!r} has {len(part.body)} bytes, not {length}")


def _parts(body: bytes, content_type: str) -> Iterator[_Part]:
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        raise RejectedError(400, f"Content-Type must be multipart/form-data with a boundary, not {content_type!r}")
    reader = _Reader()
    parser = MultipartParser(boundary, reader.callbacks, max_header_size=65_536)
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise RejectedError(400, f"malformed multipart body: {error}") from None
    if not reader.ended:
        raise RejectedError(400, "malformed multipart body: it has no end")
    yield from reader.parts


class _Reader:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.ended = False
        self._name, self._value = bytearray(), bytearray()
        self.callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self.parts[-1].body.extend(data[start:end]),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self.parts.append(_Part())

    def _end(self) -> None:
        self.ended = True

    def _end_header(self) -> None:
        name, value = self._name.decode("latin-1").lower(), self._value.decode("latin-1")
        self.parts[-1].headers[name] = value
        if name == "content-disposition" and (found := _NAME.search(value)):
            self.parts[-1].name = found[1]
        self._name.clear()
        self._value.clear()
