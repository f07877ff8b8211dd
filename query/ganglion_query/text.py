"""Values as a terminal may show them: no control character of a sender reaches it; durations, times, sizes."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.cells import cell_len, set_cell_size

__all__ = ["brief", "brief_lines", "clean", "duration", "fit", "moment", "pairs", "value"]

_LONGEST = 2000
_CONTROL_NAMES = {"\n": "⏎", "\t": " "}


def clean(text: str) -> str:
    """Return `text` on one line, with everything that is not printable (escapes, bidi controls) made visible."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _visible(letter) for letter in text)


def _visible(letter: str) -> str:
    return _CONTROL_NAMES.get(letter) or letter.encode("unicode_escape", "backslashreplace").decode("ascii")


def brief(text: str, *, full: bool = False) -> str:
    """Return `text` as `clean` does, cut where it is longer than anybody reads, and its length; `full` cuts nothing."""
    shown, note = _cut(text, full=full)
    return clean(shown) + note


def brief_lines(text: str, *, full: bool = False) -> list[str]:
    """Return the lines of `text`, at least one, all together cut as by `brief`."""
    shown, note = _cut(text, full=full)
    lines = [clean(line) for line in shown.splitlines()] or [""]
    lines[-1] += note
    return lines


def _cut(text: str, *, full: bool) -> tuple[str, str]:
    if full or len(text) <= _LONGEST:
        return text, ""
    return text[:_LONGEST], f"… ({len(text):,} characters)"


def duration(milliseconds: float | None) -> str:
    """Return a duration with three digits that matter: `850 µs`, `12.3 ms`, `1.23 s`, `2 m 05 s`."""
    if milliseconds is None or milliseconds != milliseconds:  # noqa: PLR0124 (NaN)
        return "?"
    if milliseconds < 0:
        return f"-{duration(-milliseconds)}"
    if milliseconds < 0.9995:
        return f"{milliseconds * 1000:.0f} µs"
    if milliseconds < 999.5:
        return f"{_three(milliseconds)} ms"
    if milliseconds < 59_995:
        return f"{_three(milliseconds / 1000)} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    if minutes < 60:
        return f"{minutes} m {seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


def _three(number: float) -> str:
    digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:.{digits}f}"


def moment(time: datetime) -> str:
    """Return a time in the zone of this machine, with milliseconds."""
    local = time.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d}"


def fit(text: str, width: int) -> str:
    """Return `text` in exactly `width` cells: cut with an ellipsis, or filled with spaces."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(0, width - 1)) + "…"


def value(item: Any, longest: int = 120) -> str:
    """Return one attribute's value in a few cells."""
    text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)
    if isinstance(item, float) and abs(item) < 1e15:
        text = str(int(item)) if item.is_integer() else f"{item:.7g}" if abs(item) < 1e6 else text
    shown = clean(text[: longest + 1])
    return shown if len(text) <= longest else shown[:longest] + "…"


def pairs(attributes: Mapping[str, Any], most: int) -> str:
    """Return the first `most` attributes as `key=value`, and how many more there are."""
    shown = [f"{clean(key)}={value(item)}" for key, item in list(attributes.items())[:most]]
    if len(attributes) > most:
        shown.append(f"(+{len(attributes) - most})")
    return "  ".join(shown)
