"""Runs as the bodies of requests: multipart parts, as LangSmith's own SDK writes them, or a batch in JSON.

    Run ──encode_run──▶ EncodedRun (its parts, once) ──chunks──▶ what fits one request ──body──▶ compress ──▶ POST

A run is encoded once however often it is sent: what is split or sent again only puts its parts together anew.
"""

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import orjson
import zstandard

from ganglion_exporters._langsmith.json_text import cut_to, dumps
from ganglion_exporters._langsmith.model import Attachment, Draft, Run

__all__ = [
    "LARGEST_FIELD",
    "Compression",
    "EncodedRun",
    "EncodingSettings",
    "batch_body",
    "chunks",
    "compress",
    "encode",
    "encode_run",
    "multipart_body",
]

Compression: TypeAlias = Literal["zstd", "gzip", "none"]

LARGEST_FIELD = 25_000_000
"""Bytes of JSON; LangSmith replaces a larger field by a placeholder, without a word."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSAFE = re.compile(r"[^A-Za-z0-9 _()+,=@~-]")
_MIME_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:; ?[A-Za-z0-9_-]+=[A-Za-z0-9_.-]+)*")
_OWN_PARTS = ("inputs", "outputs", "events", "error", "extra")


@dataclass(frozen=True, slots=True)
class EncodingSettings:
    """`project` is the one for runs that name none; `boundary` parts the parts; a field has at most `largest_field`."""

    boundary: str
    project: str = "default"
    largest_field: int = LARGEST_FIELD


@dataclass(frozen=True, slots=True)
class EncodedRun:
    """A run's parts; `fields` are its JSON values by name, `cut` those that were too large to be sent whole."""

    run: Run
    parts: bytes
    fields: dict[str, bytes]
    cut: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return len(self.parts)


def encode(runs: Sequence[Run], boundary: str) -> bytes:
    """Return the whole multipart body of `runs`, in their order."""
    settings = EncodingSettings(boundary)
    return multipart_body([encode_run(run, settings) for run in runs], boundary)


def encode_run(run: Run, settings: EncodingSettings) -> EncodedRun:
    """Encode one run. What JSON cannot hold is mended, what is too large is cut, and both never raise."""
    event = "patch" if run.update else "post"
    fields = {"": dumps(_main(run, settings.project))}
    values, cut = _values(run.draft), list[str]()
    for name in _OWN_PARTS:
        value = values[name]
        if value is None:
            continue
        if name == "extra" and cut:
            value = {**value, "metadata": {**value["metadata"], "ganglion.cut_fields": ", ".join(cut)}}
        fields[name], was_cut = cut_to(value, settings.largest_field)
        if was_cut:
            cut.append(name)
    head = f"{event}.{run.id}"
    parts = [
        _part(settings.boundary, f"{head}.{name}" if name else head, "application/json", payload)
        for name, payload in fields.items()
    ]
    parts += _attachments(run, settings.boundary)
    return EncodedRun(run, b"".join(parts), fields, tuple(cut))


def multipart_body(runs: Iterable[EncodedRun], boundary: str) -> bytes:
    """Return the body of one request; `boundary` is the one that the runs were encoded with."""
    return b"".join([*(run.parts for run in runs), f"--{boundary}--\r\n".encode()])


def batch_body(runs: Iterable[EncodedRun]) -> bytes:
    """Return the body of `/runs/batch`, which older servers have instead; it cannot carry attachments."""
    posts, patches = list[bytes](), list[bytes]()
    for run in runs:
        (patches if run.run.update else posts).append(_whole(run))
    return b'{"post":[' + b",".join(posts) + b'],"patch":[' + b",".join(patches) + b"]}"


def chunks(runs: Iterable[EncodedRun], max_runs: int, max_bytes: int) -> Iterator[list[EncodedRun]]:
    """Yield what fits one request each, in order; a single run above `max_bytes` goes alone.

    A trace that fits is not torn apart where it comes second; the runs of a trace are beside each other. A run that
    LangSmith may refuse for its time goes alone.
    """
    chunk = _Chunk(max_runs, max_bytes)
    for trace in _traces(runs):
        if chunk.runs and not chunk.has_room(len(trace), sum(run.size for run in trace)):
            yield chunk.emptied()
        for run in trace:
            if chunk.runs and not chunk.has_room(1, run.size):
                yield chunk.emptied()
            if run.run.alone:
                yield [run]
            else:
                chunk.add(run)
    if chunk.runs:
        yield chunk.runs


def compress(body: bytes, compression: Compression) -> bytes:
    match compression:
        case "zstd":
            return zstandard.ZstdCompressor(level=3).compress(body)
        case "gzip":
            return gzip.compress(body, 6, mtime=0)
        case "none":
            return body


class _Chunk:
    def __init__(self, max_runs: int, max_bytes: int) -> None:
        self.runs = list[EncodedRun]()
        self._max_runs, self._max_bytes = max_runs, max_bytes
        self._size = 0

    def has_room(self, runs: int, size: int) -> bool:
        return len(self.runs) + runs <= self._max_runs and self._size + size <= self._max_bytes

    def add(self, run: EncodedRun) -> None:
        self.runs.append(run)
        self._size += run.size

    def emptied(self) -> list[EncodedRun]:
        """Return what it held, which it no longer does."""
        runs, self.runs, self._size = self.runs, [], 0
        return runs


def _traces(runs: Iterable[EncodedRun]) -> Iterator[list[EncodedRun]]:
    trace = list[EncodedRun]()
    for run in runs:
        if trace and trace[0].run.trace_id != run.run.trace_id:
            yield trace
            trace = []
        trace.append(run)
    if trace:
        yield trace


def _main(run: Run, project: str) -> dict[str, Any]:
    draft = run.draft
    fields: dict[str, Any] = {"id": str(run.id), "trace_id": str(run.trace_id), "dotted_order": run.dotted_order}
    if run.parent_run_id is not None:
        fields["parent_run_id"] = str(run.parent_run_id)
    fields |= {
        "name": draft.name or "unnamed",
        "run_type": draft.run_type,
        "start_time": _time(draft.start),
        "end_time": _time(max(draft.start, draft.end)),
    }
    if draft.project_id:
        fields["session_id"] = draft.project_id
    else:
        fields["session_name"] = draft.project or project
    if draft.reference_example_id:
        fields["reference_example_id"] = draft.reference_example_id
    if draft.tags:
        fields["tags"] = draft.tags
    return fields


def _values(draft: Draft) -> dict[str, Any]:
    extra: dict[str, Any] = {"metadata": draft.metadata}
    if draft.invocation_params:
        extra["invocation_params"] = draft.invocation_params
    return {
        "inputs": draft.inputs,
        "outputs": draft.outputs,
        "events": draft.events or None,
        "extra": extra,
        "error": draft.error,
    }


def _time(nanoseconds: int) -> str:
    """Return ISO 8601 in UTC with microseconds, by whole numbers only."""
    return (_EPOCH + timedelta(microseconds=nanoseconds // 1000)).isoformat(timespec="microseconds")


def _part(boundary: str, name: str, content_type: str, payload: bytes) -> bytes:
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: {content_type}\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return b"%b%b\r\n" % (head.encode(), payload)


def _attachments(run: Run, boundary: str) -> Iterator[bytes]:
    taken = set[str]()
    for number, attachment in enumerate(run.draft.attachments):
        name = _attachment_name(attachment, number)
        if name in taken:
            name = f"{name}-{number}"
        taken.add(name)
        is_known = _MIME_TYPE.fullmatch(attachment.mime_type)
        mime_type = attachment.mime_type if is_known else "application/octet-stream"
        yield _part(boundary, f"attachment.{run.id}.{name}", mime_type, attachment.content)


def _attachment_name(attachment: Attachment, number: int) -> str:
    """Return a name that a part's header can carry; a dot would end it."""
    return _UNSAFE.sub("_", attachment.name)[:200] or f"attachment-{number}"


def _whole(run: EncodedRun) -> bytes:
    fields = dict(run.fields)
    main = fields.pop("")
    rest = b"".join(b"," + orjson.dumps(name) + b":" + payload for name, payload in fields.items())
    return main[:-1] + rest + b"}"
