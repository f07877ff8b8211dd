"""Numbers and times as a sentence says them: `5,020 requests`, `840 ms`, `8 %`, `2026-11-20 15:02:11 UTC`."""

from datetime import UTC, datetime

from ganglion_query.text import duration

__all__ = ["amount", "at_time", "dollars_text", "duration", "factor_text", "score_text", "share_text", "size"]


def amount(count: int, noun: str) -> str:
    """Return a count with its noun: `1 request`, `5,020 requests`."""
    if count == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {plural}"


def at_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def share_text(share: float) -> str:
    """Return a share as per cent with two digits that matter: `8.2 %`, `0.12 %`, `100 %`."""
    percent = share * 100
    digits = 0 if percent >= 10 or percent == 0 else 1 if percent >= 1 else 2
    return f"{percent:.{digits}f} %"


def factor_text(factor: float) -> str:
    """Return how many times as much something is: `1.8`, `44`, `1,072`."""
    return f"{factor:,.0f}" if factor >= 9.95 else f"{factor:.1f}"


def score_text(score: float) -> str:
    return f"{score:.2f}"


def dollars_text(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.2g}"


def size(count: float) -> str:
    """Return a number of bytes in the unit that fits: `3.4 MiB`."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
