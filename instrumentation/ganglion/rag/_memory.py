"""Events of memory: what is kept of a conversation."""

from ganglion.rag._events import tell

__all__ = ["history_retrieved", "history_stored", "history_summarized"]

_LAYER = "memory"


def history_retrieved(*, turns: int, tokens: int) -> None:
    """Tell `history_retrieved`: turns of the conversation put before the model, and the tokens they take."""
    tell(_LAYER, "history_retrieved", {"turns": turns, "tokens": tokens})


def history_summarized(*, ratio: float, turns: int | None = None) -> None:
    """Tell `history_summarized`: `ratio` is the summary's size to that of the `turns` it stands for, 0 to 1."""
    tell(_LAYER, "history_summarized", {"ratio": ratio, "turns": turns})


def history_stored(*, turns: int, tokens: int | None = None) -> None:
    """Tell `history_stored`: turns that the history now holds."""
    tell(_LAYER, "history_stored", {"turns": turns, "tokens": tokens})
