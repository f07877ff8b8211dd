"""docs/questions.md: which command each answer in it is of, whether it still looks so, and how it is written anew."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from examples.planted_causes import Planted

__all__ = ["DOCUMENT", "Shown", "rewritten", "shown", "stable_lines"]

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "questions.md"

_BLOCK = re.compile(r"<!-- asked: (?P<asked>.+?) -->\n```console\n\$ (?P<command>.+)\n(?P<answer>(?:.*\n)*?)```\n")


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of the document, with what stands for ids and times in it, and the answer that is shown."""

    asked: str
    answer: str

    def command(self, planted: Planted) -> str:
        """Return what is typed behind `ganglion`."""
        return self.asked.format(**{name: getattr(planted, name) for name in Planted.__dataclass_fields__})


def shown() -> list[Shown]:
    """Return the answers of the document in their order."""
    return [Shown(found["asked"], found["answer"]) for found in _BLOCK.finditer(DOCUMENT.read_text(encoding="utf-8"))]


def stable_lines(answer: str) -> Iterator[str]:
    """Yield the lines of an answer that hold no figure: headings and names of columns."""
    for line in answer.splitlines():
        words = " ".join(line.split())
        if words and not re.search(r"[\d█]", words):
            yield words


def rewritten(planted: Planted, answers: Mapping[str, str]) -> str:
    """Return the document with other answers, each by what was asked."""

    def block(found: re.Match[str]) -> str:
        command = Shown(found["asked"], "").command(planted)
        answer = re.sub(r"[ \t]+$", "", answers[found["asked"]].replace(f"{ROOT}/", ""), flags=re.MULTILINE).rstrip()
        return f"<!-- asked: {found['asked']} -->\n```console\n$ ganglion {command}\n{answer}\n```\n"

    return _BLOCK.sub(block, DOCUMENT.read_text(encoding="utf-8"))
