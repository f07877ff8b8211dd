"""What errors and messages of one cause have in common: the text without numbers, ids, addresses and quotes. Pure."""

import re
from functools import lru_cache
from hashlib import blake2b

__all__ = ["error_type", "fingerprint", "template"]

_LONGEST = 500
_VARYING = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"\"[^\"\n]*\"|(?<!\w)'[^'\n]*'(?!\w)|`[^`\n]*`"), "<text>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9a-f:]*:[0-9a-f:]+\](?::\d+)?"), "<address>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"(?<![\w.])/(?:[\w.@+-]+/)*[\w.@+-]+"), "<path>"),
    (re.compile(r"\b[a-z]+[-_](?=\w*\d)[\w-]+", re.IGNORECASE), "<id>"),
    (re.compile(r"[-+]?\b\d+(?:[.,]\d+)*"), "<n>"),
)
_TYPE = re.compile(r"(?:\w+\.)*([A-Z]\w*)(?::(?:\s|$)|(?<=Error)$|(?<=Exception)$)", re.ASCII)
_SPACE = re.compile(r"\s+")


@lru_cache(maxsize=10_000)
def template(text: str) -> str:
    """Return `text` with what varies from case to case replaced: `timeout after <n> ms at <address>`."""
    shown = text[:_LONGEST]
    for pattern, name in _VARYING:
        shown = pattern.sub(name, shown)
    return _SPACE.sub(" ", shown).strip()


def error_type(error: str) -> str | None:
    """Return the type of an error that is written `Type: message`, without its module, None where it is not."""
    match = _TYPE.match(error)
    return match.group(1) if match else None


def fingerprint(text: str) -> str:
    """Return 12 hexadecimal digits that stand for `text`."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
