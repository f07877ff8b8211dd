"""What was said to a model and by it, in the names of every convention. Pure.

Sources: the GenAI semantic conventions (all versions since 1.27), OpenInference's, OpenLLMetry's, LangSmith's "Trace
with OpenTelemetry", and Logfire as it writes its spans.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from ganglion_query.message_forms import Message, listed, parsed, read_message, read_whole, spread
from ganglion_query.model import LogRow, SpanRow

__all__ = ["Conversation", "Message", "conversation_of", "has_messages"]

_Values: TypeAlias = Mapping[str, Any]
_Form: TypeAlias = Callable[[_Values, str, str], list[Message]]

_CHOICE = "gen_ai.choice"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What went into a call and what came out."""

    prompt: Sequence[Message]
    completion: Sequence[Message]


def _listed(values: _Values, name: str, role: str) -> list[Message]:
    said = values.get(name)
    return [message for item in listed(said) or [said] for message in read_message(item, role)]


def _spread(values: _Values, name: str, role: str) -> list[Message]:
    return [message for item in spread(values, name) for message in read_message(item, role)]


def _whole(values: _Values, name: str, role: str) -> list[Message]:
    return read_whole(values.get(name), role)


def _prompts(values: _Values, name: str, role: str) -> list[Message]:
    """Read OpenInference's texts to complete: `llm.prompts.{n}.prompt.text`."""
    return [message for item in spread(values, name) for message in read_whole(_text_of(item), role)]


def _text_of(item: Any) -> object:
    for key in ("prompt", "completion", "text"):
        if isinstance(item, dict):
            item = cast("dict[str, Any]", item).get(key, item)
    return item


def _logfire(values: _Values, name: str, role: str) -> list[Message]:
    """Read a list of events: the choices are what came out."""
    events = [cast("dict[str, Any]", one) for one in listed(values.get(name)) if isinstance(one, dict)]
    wanted = [one for one in events if (one.get("event.name") == _CHOICE) == (role == "assistant")]
    return [message for one in wanted for message in read_message(one, role)]


_PROMPTS: Sequence[tuple[str, _Form]] = (
    ("gen_ai.input.messages", _listed),
    ("gen_ai.prompt", _spread),
    ("llm.input_messages", _spread),
    ("llm.input_messages", _listed),
    ("llm.prompts", _prompts),
    ("gen_ai.retrieval.query.text", _whole),
    ("reranker.query", _whole),
    ("input.value", _whole),
    ("traceloop.entity.input", _whole),
    ("gen_ai.prompt", _whole),
    ("gen_ai.tool.call.arguments", _whole),
    ("mcp.request.argument", _whole),
    ("events", _logfire),
)
_COMPLETIONS: Sequence[tuple[str, _Form]] = (
    ("gen_ai.output.messages", _listed),
    ("gen_ai.completion", _spread),
    ("llm.output_messages", _spread),
    ("llm.output_messages", _listed),
    ("llm.choices", _prompts),
    ("output.value", _whole),
    ("traceloop.entity.output", _whole),
    ("gen_ai.completion", _whole),
    ("gen_ai.tool.call.result", _whole),
    ("mcp.response.value", _whole),
    ("events", _logfire),
)
_NAMES = frozenset(name for name, form in (*_PROMPTS, *_COMPLETIONS) if form in {_listed, _whole})
_BEGINNINGS = tuple({f"{name}.0." for name, form in (*_PROMPTS, *_COMPLETIONS) if form in {_spread, _prompts}})

_SAID = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    _CHOICE: "assistant",
}
_DETAILS = ("gen_ai.client.inference.operation.details", "gen_ai.content.prompt", "gen_ai.content.completion")
_EVENTS = frozenset({*_SAID, *_DETAILS})
_ABOUT = frozenset({"event.name", "gen_ai.system", "gen_ai.provider.name"})


def conversation_of(span: SpanRow, logs: Iterable[LogRow] = ()) -> Conversation:
    """Return what a span says in its attributes, else in its events and in logs of it."""
    found = _in_attributes(span.attributes)
    told = [*map(_of_event, span.events), *map(_of_log, logs)]
    more = _in_events([(name, values) for name, values in told if name in _EVENTS])
    return Conversation(found.prompt or more.prompt, found.completion or more.completion)


def has_messages(span: SpanRow, logs: Iterable[LogRow] = ()) -> bool:
    """Tell whether a span holds a prompt or a completion, by names alone."""
    if not _NAMES.isdisjoint(span.attributes) or any(key.startswith(_BEGINNINGS) for key in span.attributes):
        return True
    return any(event.get("name") in _EVENTS for event in span.events) or any(_name_of(log) in _EVENTS for log in logs)


def _in_attributes(values: _Values) -> Conversation:
    system = _system(values.get("gen_ai.system_instructions"))
    return Conversation([*system, *_first(_PROMPTS, values, "user")], _first(_COMPLETIONS, values, "assistant"))


def _first(sources: Sequence[tuple[str, _Form]], values: _Values, role: str) -> list[Message]:
    read = (_read(form, values, name, role) for name, form in sources)
    return next((found for found in read if found), list[Message]())


def _read(form: _Form, values: _Values, name: str, role: str) -> list[Message]:
    try:
        return form(values, name, role)
    except RecursionError:  # nested as no conversation is; the attribute itself can still be read
        return []


def _system(value: object) -> list[Message]:
    parts: list[object] = listed(value) or [value]
    return read_message({"role": "system", "parts": parts}, "system")


def _in_events(told: Sequence[tuple[str, _Values]]) -> Conversation:
    """Read the events of one call, in their order; without a choice the assistant's last word is the answer."""
    details: dict[str, Any] = {}
    said: list[tuple[str, Message]] = []
    for name, values in told:
        if name in _DETAILS:
            details.update(values)
        else:
            said += [(name, message) for message in _read(_event, values, "", _SAID[name])]
    whole = _in_attributes(details)
    if said and said[-1][0] == "gen_ai.assistant.message":
        said[-1] = (_CHOICE, said[-1][1])
    prompt = [message for name, message in said if name != _CHOICE]
    completion = [message for name, message in said if name == _CHOICE]
    return Conversation([*whole.prompt, *prompt], [*whole.completion, *completion])


def _event(values: _Values, _name: str, role: str) -> list[Message]:
    return read_message(_body(values), role)


def _body(values: _Values) -> object:
    """Return an event's message: all of it in one attribute, or spread over `message.…`."""
    whole = parsed(values.get("gen_ai.event.content"))
    if isinstance(whole, dict):
        return cast("dict[str, object]", whole)
    if isinstance(whole, str) and whole:
        return {"content": whole}
    return {key.removeprefix("message."): said for key, said in values.items() if key not in _ABOUT}


def _of_event(event: _Values) -> tuple[str, _Values]:
    values: _Values = event.get("attributes") or {}
    return str(event.get("name")), values


def _of_log(log: LogRow) -> tuple[str, _Values]:
    name, body = _name_of(log), parsed(log.message)
    if isinstance(body, dict):
        return name, {**log.context, **cast("dict[str, Any]", body)}
    return name, log.context if log.message == name else {**log.context, "content": log.message}


def _name_of(log: LogRow) -> str:
    named = log.context.get("otel.event_name") or log.context.get("event.name") or log.message
    return named if isinstance(named, str) else ""
