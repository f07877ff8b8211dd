"""How much one answer may hold. A message or an attribute may be as long as a request, so rows alone are no bound."""

from dataclasses import dataclass
from typing import Generic, LiteralString, TypeVar

__all__ = ["LOG_BYTES", "SPAN_BYTES", "Bounded", "bounded"]

R = TypeVar("R")

_MOST_BYTES: LiteralString = "16777216"


@dataclass(frozen=True, slots=True)
class Bounded(Generic[R]):
    """The first rows, as far as they fit; `is_cut`: there are more, which did not."""

    rows: list[R]
    is_cut: bool


def _bytes_of(texts: LiteralString, objects: LiteralString, alias: LiteralString) -> LiteralString:
    """Return SQL for the bytes that columns of a row take: those of text, and of JSON.

    What is compressed counts as what it becomes; only long objects have to be looked into for that.
    """
    parts: list[LiteralString] = [f"coalesce(octet_length({alias}.{name}), 0)" for name in texts.split()]
    for name in objects.split():
        size: LiteralString = f"pg_column_size({alias}.{name})"
        parts.append(f"coalesce(CASE WHEN {size} < 2000 THEN {size} ELSE octet_length({alias}.{name}::text) END, 0)")
    return " + ".join(parts)


LOG_BYTES = _bytes_of("message error stack_trace", "context metrics", "l")
SPAN_BYTES = _bytes_of("status_message", "attributes events links", "s")


def bounded(
    columns: LiteralString,
    source: LiteralString,
    alias: LiteralString,
    order: LiteralString,
    *,
    size: LiteralString,
    joined: LiteralString = "",
) -> LiteralString:
    """Return a SELECT for `Session.bounded`: of the rows of `source` those before which less than 16 MiB stand.

    `columns` and `order` call them `alias`, which is `joined` with what does not decide.
    """
    return f"""SELECT {columns}, {alias}.found FROM (
    SELECT {alias}.*, count(*) OVER () AS found,
        sum({size}) OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM ({source}) AS {alias}
) AS {alias} {joined} WHERE coalesce({alias}.before, 0) < {_MOST_BYTES} ORDER BY {order}"""  # noqa: S608
