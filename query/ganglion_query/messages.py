"""What was said to a model and by it, in the names of every convention. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from ganglion_query.model import SpanRow

__all__ = ["Message", "completion_of", "has_messages", "prompt_of"]

_PROMPTS = ("gen_ai.input.messages", "input.value", "traceloop.entity.input", "gen_ai.prompt")
_COMPLETIONS = ("gen_ai.output.messages", "output.value", "traceloop.entity.output", "gen_ai.completion")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation with a model; `role` is system, user, assistant, tool or what it was told.

    `content` is text, or JSON where it is none.
    """

    role: str
    content: str


def prompt_of(span: SpanRow) -> Sequence[Message]:
    """Return what was said to the model, or what went in."""
    return [Message("user", str(span.attributes[name])) for name in _PROMPTS if name in span.attributes][:1]


def completion_of(span: SpanRow) -> Sequence[Message]:
    """Return what the model said, or what came out."""
    return [Message("assistant", str(span.attributes[name])) for name in _COMPLETIONS if name in span.attributes][:1]


def has_messages(span: SpanRow) -> bool:
    return any(name in span.attributes for name in (*_PROMPTS, *_COMPLETIONS))
