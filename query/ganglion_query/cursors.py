"""Where the next page of a list begins, as text that is handed out and comes back."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any

__all__ = ["FOREIGN", "decode", "encode", "moment"]

FOREIGN = "the cursor is not one of this list; begin again without it"

_LONGEST = 500
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def encode(*place: str | float) -> str:
    """Return a cursor that `decode` reads; it holds only what the list has shown."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str, *types: type) -> tuple[Any, ...]:
    """Return the place in it, whose parts are of `types`.

    Raises:
        ValueError: it is no cursor of this list.
    """
    try:
        text = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place: Any = json.loads(text) if len(cursor) <= _LONGEST else None
    except (binascii.Error, ValueError, RecursionError):
        place = None
    if not isinstance(place, list) or [type(part) for part in place] != list(types):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        raise ValueError(FOREIGN)
    return tuple(place)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def moment(text: str) -> datetime:
    """Return an aware time that `encode` was given in ISO 8601.

    Raises:
        ValueError: it is none.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(FOREIGN) from None
    if time.tzinfo is None or not _EARLIEST <= time < _LATEST:
        raise ValueError(FOREIGN)
    return time
