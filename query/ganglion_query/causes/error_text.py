"""What failing spans and their logs say went wrong. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ganglion_query.model import SpanRow
from ganglion_query.time_axis import Bar

__all__ = ["SERIOUS", "are_same", "brief_error", "error_of", "fails", "said_by", "status_code"]

SERIOUS = frozenset({"ERROR", "CRITICAL"})
_STATUS_CODES = ("http.response.status_code", "http.status_code")
_LONG = 8
_LONGEST = 300
_MODULE = re.compile(r"^(?:[a-z_]\w*\.)+(?=[A-Z])", re.ASCII)


def fails(bar: Bar) -> bool:
    return bar.span.status == "ERROR" or any(log.level in SERIOUS for log in bar.branch.logs)


def error_of(bar: Bar) -> str:
    """Return what tells most of an error, empty where nothing does."""
    return next(iter([*said_by(bar), *_hinted(bar)]), "")


def said_by(bar: Bar) -> list[str]:
    """Return all texts of a span's error, the most telling first."""
    return [text for text in _texts(bar) if text]


def are_same(some: Sequence[str], others: Sequence[str]) -> bool:
    """Tell whether two spans tell the same error: one text is, or holds, one of the other."""
    return any(one == other or _holds(one, other) or _holds(other, one) for one in some for other in others)


def brief_error(text: str) -> str:
    """Return an error on one line, its type without the module."""
    return _MODULE.sub("", " ".join(text.split()))[:_LONGEST]


def status_code(span: SpanRow) -> int:
    """Return the status of an HTTP response, 0 where there is none."""
    codes = (str(span.attributes.get(name, "")) for name in _STATUS_CODES)
    return next((int(code) for code in codes if len(code) == 3 and code.isascii() and code.isdigit()), 0)


def _holds(text: str, part: str) -> bool:
    return len(part) >= _LONG and part in text


def _texts(bar: Bar) -> Iterator[str]:
    exceptions = [event for event in bar.span.events if event.get("name") == "exception"]
    yield from (_exception(event.get("attributes") or {}) for event in reversed(exceptions))
    serious = [log for log in bar.branch.logs if log.level in SERIOUS]
    yield from (log.error or "" for log in serious)
    yield bar.span.status_message or ""
    yield from (log.message or "" for log in serious)


def _hinted(bar: Bar) -> Iterator[str]:
    kind = str(bar.span.attributes.get("error.type") or "")
    if kind:  # of a response its status
        yield f"HTTP {kind}" if kind.isdecimal() else kind
    if (code := status_code(bar.span)) >= 400:
        yield f"HTTP {code}"


def _exception(attributes: Mapping[str, Any]) -> str:
    told = (attributes.get(f"exception.{name}") for name in ("type", "message"))
    return ": ".join(str(one) for one in told if one)
