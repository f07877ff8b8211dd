"""Layer memory: what was said before in a session, kept short enough to be read again with every question."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ganglion import rag

from .text import content_words, count_tokens, sentences

__all__ = ["History", "Memory"]

_SESSIONS = 1000
_MOST_TOKENS = 120


@dataclass(frozen=True, slots=True)
class History:
    """A session so far: what older turns came to, and the questions and answers since."""

    summary: str = ""
    turns: Sequence[tuple[str, str]] = ()

    @property
    def text(self) -> str:
        return "\n".join([self.summary, *(f"{question}\n{answer}" for question, answer in self.turns)]).strip()

    @property
    def tokens(self) -> int:
        return count_tokens(self.text)

    def topic(self, question: str) -> str:
        """Return the question before, if this one says too little to be searched for alone."""
        return self.turns[-1][0] if self.turns and len(content_words(question)) < 3 else ""


class Memory:
    """Thread-safe; the sessions that were quiet longest are forgotten first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: OrderedDict[Hashable, History] = OrderedDict()

    def history(self, session: Hashable) -> History:
        with rag.layer("memory", operation="retrieve"):
            with self._lock:
                found = self._sessions.get(session, History())
            rag.history_retrieved(turns=len(found.turns), tokens=found.tokens)
            return found

    def store(self, session: Hashable, question: str, answer: str) -> None:
        with rag.layer("memory", operation="store"):
            with self._lock:
                before = self._sessions.pop(session, History())
                grown = History(before.summary, (*before.turns, (question, answer)))
                kept = _summarized(grown) if grown.tokens > _MOST_TOKENS else grown
                self._sessions[session] = kept
                if len(self._sessions) > _SESSIONS:
                    self._sessions.popitem(last=False)
            if kept is not grown:
                ratio = round(kept.tokens / grown.tokens, 3)
                rag.history_summarized(ratio=ratio, turns=len(grown.turns) - len(kept.turns))
            rag.history_stored(turns=len(kept.turns), tokens=kept.tokens)


def _summarized(history: History) -> History:
    """Keep the last turn whole; of those before, the questions and the first sentence of each answer."""
    lines = [f"{question} {sentences(answer)[0]}" for question, answer in history.turns[:-1] if answer]
    kept = [*sentences(history.summary), *lines]
    while len(kept) > 1 and count_tokens("\n".join(kept)) > _MOST_TOKENS // 2:
        kept.pop(0)
    return History("\n".join(kept), history.turns[-1:])
