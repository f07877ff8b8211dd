"""What can be made to go wrong, for demonstrations: by the header `X-Demo-Fault`, or for all requests by RAG_FAULT.

A switch only chooses other numbers than the usual ones: the code that then is slow, fails or runs out is the real one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FAULTS", "NORMAL", "Switches", "chosen"]


@dataclass(frozen=True, slots=True)
class Switches:
    """The numbers of a request."""

    pause: float = 0.0
    """Seconds that the model takes for each sentence, and the parser for each file."""
    store_answers: bool = True
    window_tokens: int | None = None
    """How much the model can hold, if not what it usually can."""
    tokens_per_minute: int = 1_000_000
    """What a tenant may have generated."""
    invention: str = ""
    """A sentence the model adds, whatever the documents say."""


NORMAL = Switches()
FAULTS: Mapping[str, Switches] = {
    "slow": Switches(pause=1.2),
    "fail": Switches(store_answers=False),
    "budget": Switches(window_tokens=48),
    "rate_limit": Switches(tokens_per_minute=0),
    "hallucinate": Switches(
        invention="A study by the University of Heidelberg found in 2019 that this saves hospitals 73 percent."
    ),
}


def chosen(name: str | None) -> Switches:
    """Return the switches of a fault's name; none and `none` are the usual ones.

    Raises:
        ValueError: no such fault; the text names those that exist.
    """
    if not name or name == "none":
        return NORMAL
    if name not in FAULTS:
        raise ValueError(f"no such fault; there are {', '.join(FAULTS)}")
    return FAULTS[name]
