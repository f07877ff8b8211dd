"""How the whole service cuts text: into words that mean something, sentences and tokens."""

import re

__all__ = ["content_words", "count_tokens", "sentences", "words"]

_WORD = re.compile(r"[^\W_]+(?:[.'-][^\W_]+)*")  # also v1.2, don't, exactly-once
_TOKEN = re.compile(r"\w+|[^\w\s]")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[\"'(\[*]*[A-Z0-9]|`)|\n{2,}|\n(?=[-*|#])")
_COMMON_WORDS = """
    a about after all also an and any are as at be been before but by can do does each else for from had has have here
    how i if in into is it its just like may me more most must my no nor not of off on one only or other our out over
    own same shall should so some such than that the their them then there these they this those through to too under
    until up us use used was we were what when where which while who whom whose why will with would you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def words(text: str) -> list[str]:
    """Return all words in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def content_words(text: str) -> list[str]:
    """Return the words that are about something, without their commonest endings, so that `logs` finds `log`."""
    return [_stem(word) for word in words(text) if word not in _COMMON]


def _stem(word: str) -> str:
    for ending, left in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", "e"), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)] + left
    return word


def sentences(text: str) -> list[str]:
    """Return the sentences; a list item, a table row and a heading are each one."""
    found = (" ".join(part.split()) for part in _SENTENCE_END.split(text))
    return [sentence for sentence in found if sentence]


def count_tokens(text: str) -> int:
    """Return how many tokens a model would read: words longer than six letters count for more than one."""
    return sum((len(token) + 5) // 6 for token in _TOKEN.findall(text))
