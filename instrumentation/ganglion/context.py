"""Who and what a request is for: fields bound once, in every log and on every span of it.

The fields are one immutable mapping in one context variable. So an asyncio task has what its maker had, and what a task
binds, neither its maker nor its siblings see. Threads and executors do as tasks do after `ganglion.configure`.
A synchronous dependency of FastAPI runs in a thread, and what it binds is for that thread alone: bind in a coroutine.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
else:
    SpanProcessor = object  # the SDK takes any object with these methods, and is not imported for four names

__all__ = ["ATTRIBUTES", "ContextSpanProcessor", "attributes", "bind", "bound", "context", "fields", "unbind"]

ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {"user_id": "user.id", "session_id": "session.id", "tenant_id": "tenant.id", "request_id": "request.id"}
)
"""Field to attribute: user.id and session.id are semantic conventions, the others follow them."""

_LONGEST = 1024


class _Bound:
    """What is bound, and the same as attributes: made once, read by every log and span."""

    __slots__ = ("attributes", "fields")

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields: Mapping[str, str] = MappingProxyType(fields)
        self.attributes: Mapping[str, str] = _attributes(fields)  # for readers of ours: a dict is read faster


def fields() -> Mapping[str, str]:
    """Return what is bound here and now. It does not change; call again after a `bind`."""
    return _bound.get().fields


def context() -> Mapping[str, str]:
    """Return what is bound here and now, by name: request_id, user_id, session_id, tenant_id and others."""
    return _bound.get().fields


def attributes() -> Mapping[str, str]:
    """Return what is bound here and now by the names of attributes: user.id and so on."""
    return _bound.get().attributes


def bind(**fields: object) -> None:
    """Add fields to every following log and span of this request, task or thread, and to the span that is open.

    Values become text of at most 1,024 characters; None takes the field away.
    """
    now = _merged(_bound.get().fields, fields)
    _bound.set(_Bound(now))
    _mark_current_span({name: now[name] for name in fields if name in now})


def unbind(*names: str) -> None:
    """Take fields away; a name that is not bound is no error."""
    _bound.set(_Bound({name: value for name, value in _bound.get().fields.items() if name not in names}))


class bound:  # noqa: N801 - read as a word: with bound(user_id=...)
    """Bind fields within `with` or `async with`; afterwards each has the value of before, or none.

    What `bind` does inside to other fields stays.
    """

    def __init__(self, /, **fields: object) -> None:
        self._fields = fields
        self._before: list[Mapping[str, str]] = []

    def __enter__(self) -> Self:
        before = _bound.get().fields
        self._before.append(before)
        _bound.set(_Bound(_merged(before, self._fields)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        before = self._before.pop()
        now = {name: value for name, value in _bound.get().fields.items() if name not in self._fields}
        _bound.set(_Bound(now | {name: before[name] for name in self._fields if name in before}))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)


class ContextSpanProcessor(SpanProcessor):
    """Puts what is bound on every span as it starts: user.id, session.id and so on."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Set the fields of the caller; an attribute that the span was given at its start stays."""
        ours = _bound.get().attributes
        if not ours:
            return
        given = set(span.attributes or ())  # each look into a span's attributes takes its lock
        if not given.isdisjoint(ours):
            ours = {name: value for name, value in ours.items() if name not in given}
        span.set_attributes(ours)

    def _on_ending(self, span: Span) -> None: ...

    def on_end(self, span: ReadableSpan) -> None: ...

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Return True: nothing waits here."""
        return True


def _attributes(fields: Mapping[str, str]) -> dict[str, str]:
    return {ATTRIBUTES.get(name, name): value for name, value in fields.items()}


_bound: ContextVar[_Bound] = ContextVar("ganglion_bound", default=_Bound({}))  # noqa: B039 - it never changes


def _merged(now: Mapping[str, str], fields: Mapping[str, object]) -> dict[str, str]:
    merged = {name: value for name, value in now.items() if fields.get(name, value) is not None}
    merged.update({name: _text(value) for name, value in fields.items() if value is not None})
    return merged


def _text(value: object) -> str:
    """Return `value` as text that every exporter can encode; never an error, as this stands in services' way."""
    try:
        text = str(value)[:_LONGEST]
    except Exception:  # noqa: BLE001 - whatever a stranger's __str__ raises
        return f"<{type(value).__name__}>"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _mark_current_span(fields: Mapping[str, str]) -> None:
    from opentelemetry import trace  # noqa: PLC0415 - so that importing this module costs nothing

    span = trace.get_current_span()
    if fields and span.is_recording():
        span.set_attributes(_attributes(fields))
