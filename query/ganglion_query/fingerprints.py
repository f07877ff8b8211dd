"""What errors and messages of one cause have in common: the text without numbers, ids, addresses and quotes. Pure."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

__all__ = ["Placed", "alike", "error_type", "fingerprint", "template"]

_LONGEST = 500
_MANY = 8
"""A place in messages that are alike otherwise with more different words is one for a value."""
_STANDARD = r"\b(?:utf|ucs|iso|cp|windows|latin|base|sha|md|aes|crc|http|tls|ipv?)[-_]\d+(?:-\d+)?\b"
"""Names that end with a number and are no ids: of encodings, algorithms, protocols."""


def _number(match: re.Match[str]) -> str:
    return match["standard"] or "<n>"


_VARYING: Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"\"[^\"\n]*\"|(?<!\w)'[^'\n]*'(?!\w)|`[^`\n]*`"), "<text>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9a-f:]*:[0-9a-f:]+\](?::\d+)?"), "<address>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"(?<![\w.])/(?:[\w.@+-]+/)*[\w.@+-]+"), "<path>"),
    (re.compile(rf"(?!{_STANDARD})\b[a-z]+[-_](?=\w*\d)[\w-]+", re.IGNORECASE), "<id>"),
    (re.compile(rf"(?P<standard>{_STANDARD})|[-+]?\b\d+(?:[.,]\d+)*", re.IGNORECASE), _number),
)
_TYPE = re.compile(r"(?:\w+\.)*([A-Z]\w*)(?::(?:\s|$)|(?<=Error)$|(?<=Exception)$)", re.ASCII)
_SPACE = re.compile(r"\s+")


@lru_cache(maxsize=10_000)
def template(text: str) -> str:
    """Return `text` with what varies from case to case replaced: `timeout after <n> ms at <address>`."""
    shown = text[:_LONGEST]
    for pattern, instead in _VARYING:
        shown = pattern.sub(instead, shown)
    return _SPACE.sub(" ", shown).strip()


Placed = tuple[str, str, str, str]
"""A service, a logger, a level, and a message without numbers."""


def alike(messages: Iterable[Placed]) -> Mapping[Placed, str]:
    """Return each message without the words that vary among many that begin alike: `read <any> in <n> ms`.

    Of one sender, in as many words, with the same first one; a place with many different words holds no fixed one. (A
    tree of these is what Drain is, He et al. 2017.)
    """
    groups: defaultdict[tuple[str, ...], list[Placed]] = defaultdict(list)
    for message in messages:
        words = message[3].split(" ")
        groups[*message[:3], str(len(words)), words[0]].append(message)
    return {message: shape for group in groups.values() for message, shape in _shapes(group)}


def _shapes(group: Sequence[Placed]) -> Iterator[tuple[Placed, str]]:
    split = [message[3].split(" ") for message in group]
    varying = [len(set(words)) > _MANY for words in zip(*split, strict=True)]
    for message, words in zip(group, split, strict=True):
        yield message, " ".join("<any>" if varies else word for word, varies in zip(words, varying, strict=True))


def error_type(error: str) -> str | None:
    """Return the type of an error that is written `Type: message`, without its module, None where it is not."""
    match = _TYPE.match(error)
    return match.group(1) if match else None


def fingerprint(text: str) -> str:
    """Return 12 hexadecimal digits that stand for `text`."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
