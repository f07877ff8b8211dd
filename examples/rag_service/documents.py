"""Files to text: plain text, Markdown, HTML, JSON and CSV."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from bs4 import BeautifulSoup

__all__ = ["FORMATS", "Document", "UnreadableDocumentError", "format_of", "parse"]

# No pattern here may look again and again at the same text: an upload can be a million spaces or opened comments.
_MARKUP = re.compile(
    r"^[ \t]*(?:```.*|\|.*\|\n\|[ |:-]+\|$|[-*+][ \t]+(?=\S)|>|(?=\|))|\*\*|<!--[^>]{0,200}-->", re.MULTILINE
)
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+)$", re.MULTILINE)

_Json: TypeAlias = "str | float | bool | list[_Json] | dict[str, _Json] | None"


class UnreadableDocumentError(ValueError):
    """The uploaded file cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a file, under its nearest heading. A file holds one or several."""

    file: str
    heading: str
    text: str


def format_of(file: str) -> str:
    """Return the format that the file's name promises.

    Raises:
        UnreadableDocumentError: it is none of `FORMATS`.
    """
    ending = PurePosixPath(file).suffix.removeprefix(".").lower()
    found = {"markdown": "md", "htm": "html"}.get(ending, ending)
    if found not in FORMATS:
        raise UnreadableDocumentError(f"{file}: the format must be one of {', '.join(FORMATS)}")
    return found


def parse(file: str, content: bytes) -> list[Document]:
    """Return the documents in a file.

    Raises:
        UnreadableDocumentError: unknown format, not UTF-8, malformed, or no text in it.
    """
    read = FORMATS[format_of(file)]
    try:
        text = content.decode("utf-8-sig")
        found = [Document(file, heading, body.strip()) for heading, body in read(text) if body.strip()]
    except UnicodeDecodeError as error:
        raise UnreadableDocumentError(f"{file}: not UTF-8 at byte {error.start}") from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise UnreadableDocumentError(f"{file}: {error}") from error
    if not found:
        raise UnreadableDocumentError(f"{file}: no text in it")
    return found


def _plain(text: str) -> Iterator[tuple[str, str]]:
    yield "", text


def _markdown(text: str) -> Iterator[tuple[str, str]]:
    before, *sections = _HEADING.split(text)
    yield "", _unmarked(before)
    for heading, body in zip(sections[::2], sections[1::2], strict=True):
        yield heading.strip(" \t#"), _unmarked(body)


def _unmarked(text: str) -> str:
    # A list item stays a sentence of its own, which its mark would otherwise have told; so does a row of a table.
    plain = _MARKUP.sub(lambda mark: "" if mark[0] == "**" else "\n\n", text)
    return _ROW.sub(lambda row: "; ".join(cell for cell in map(str.strip, row[1].split("|")) if cell) + "\n", plain)


def _html(text: str) -> Iterator[tuple[str, str]]:
    soup = BeautifulSoup(_uncommented(text), "html.parser")
    for unwanted in soup(["script", "style", "nav", "template"]):
        unwanted.decompose()
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    if soup.title:
        soup.title.decompose()
    yield title, (soup.body or soup).get_text("\n\n", strip=True)


def _uncommented(text: str) -> str:
    # The standard library's parser looks for the end of every opened comment up to the end of the file.
    first, *rest = text.split("<!--")
    return first + "".join(part.partition("-->")[2] for part in rest)


def _json(text: str) -> Iterator[tuple[str, str]]:
    found: _Json = json.loads(text)
    for entry in found if isinstance(found, list) else [found]:
        heading = str(entry.get("title", "")) if isinstance(entry, dict) else ""
        yield heading, "\n\n".join(_leaves(entry))


def _leaves(value: "_Json", path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    elif value is not None:
        yield f"{path}: {value}" if path else str(value)


def _csv(text: str) -> Iterator[tuple[str, str]]:
    rows = csv.DictReader(io.StringIO(text), restkey="more", strict=True)
    yield "", "\n\n".join("; ".join(f"{key}: {value}" for key, value in row.items() if value) for row in rows)


FORMATS: Mapping[str, Callable[[str], Iterator[tuple[str, str]]]] = {
    "txt": _plain,
    "md": _markdown,
    "html": _html,
    "json": _json,
    "csv": _csv,
}
