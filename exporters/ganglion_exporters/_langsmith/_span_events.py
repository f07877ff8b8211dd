"""What the events of a span say: messages, an exception, the first token, and the rest as a run's events.

The messages may also come as log records of the span (`event_only`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ganglion_exporters._langsmith._messages import messages, system_message
from ganglion_exporters._langsmith._values import JSON, Object, document, parsed, plain_map, text_of, timestamp

__all__ = ["MESSAGE_LOGS", "MOST_EVENTS", "EventFacts", "read_events", "read_message_logs"]

MOST_EVENTS = 1000
"""A run's events beyond these are counted, not kept."""

_FIRST_TOKENS = frozenset(
    {
        "new_token",
        "first_token",
        "gen_ai.first_token",
        "gen_ai.content.completion.chunk",
        "llm.content.completion.chunk",
        "First Token Stream Event",
    }
)


@dataclass(slots=True)
class EventFacts:
    """`inputs` and `outputs` are empty where no event has messages; `error` is the first exception's text."""

    inputs: Object = field(default_factory=dict[str, JSON])
    outputs: Object = field(default_factory=dict[str, JSON])
    error: str = ""
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    left_out: int = 0
    is_llm: bool = False
    has_first_token: bool = False


def read_events(events: Iterable[Span.Event], *, handled: bool) -> EventFacts:
    """Read events in their order; where the span says that it went well, an exception was `handled` and is no error."""
    facts = EventFacts()
    for event in events:
        values = plain_map(event.attributes)
        read = _READERS.get(event.name)
        if event.name == "exception" and (handled or facts.error):
            read = None
        if read is None:
            _keep(facts, event, values)
        else:
            facts.is_llm |= event.name.startswith("gen_ai.")
            read(facts, values)
    return facts


def read_message_logs(logs: Iterable[tuple[str, Object]]) -> EventFacts:
    """Read log records of `MESSAGE_LOGS`, by name, each its attributes and body as one."""
    facts = EventFacts()
    for name, values in logs:
        MESSAGE_LOGS[name](facts, values)
    return facts


def _keep(facts: EventFacts, event: Span.Event, values: Object) -> None:
    if len(facts.events) >= MOST_EVENTS:
        facts.left_out += 1
        return
    is_token = event.name in _FIRST_TOKENS
    facts.has_first_token |= is_token
    kept: Object = {"name": "new_token" if is_token else event.name, "time": timestamp(event.time_unix_nano)}
    if values:
        kept["kwargs"] = values
    facts.events.append(kept)


def _exception(facts: EventFacts, values: Object) -> None:
    facts.error = _exception_text(values)


def _exception_text(values: Mapping[str, JSON]) -> str:
    """Return message and stack, and the message alone where it has the stack in it, as langsmith's has."""
    kind, message, stack = (text_of(values.get(f"exception.{name}")) for name in ("type", "message", "stacktrace"))
    said = message.strip()
    if not stack.strip() or ("\n" in said and said in stack):
        return message or kind or "exception"
    return f"{message or kind}\n\nStacktrace:\n{stack}" if said or kind else stack


def _prompt(facts: EventFacts, values: Object) -> None:
    facts.inputs = {**document(values.get("gen_ai.prompt"), "input"), **facts.inputs}


def _completion(facts: EventFacts, values: Object) -> None:
    facts.outputs = {**document(values.get("gen_ai.completion"), "output"), **facts.outputs}


def _input_message(role: str) -> Callable[[EventFacts, Object], None]:
    def read(facts: EventFacts, values: Object) -> None:
        _add(facts.inputs, "messages", messages(_whole(values), role))

    return read


def _output_message(role: str) -> Callable[[EventFacts, Object], None]:
    def read(facts: EventFacts, values: Object) -> None:
        _add(facts.outputs, "messages", messages(_whole(values), role))

    return read


def _choice(facts: EventFacts, values: Object) -> None:
    whole = _whole(values)
    message = {key: value for key, value in whole.items() if key not in {"finish_reason", "index"}}
    choice: Object = {"message": messages(message, "assistant")[0]}
    if whole.get("finish_reason"):
        choice["finish_reason"] = whole["finish_reason"]
    _add(facts.outputs, "choices", [choice])


def _whole(values: Object) -> Object:
    """Return an event's message: all of it in one attribute, or spread over `message.…` and `tool_calls.{n}.…`."""
    whole = parsed(values.get("gen_ai.event.content"))
    if isinstance(whole, dict):
        return whole
    if isinstance(whole, str) and whole:
        return {"content": whole}
    return _gathered(values)


def _gathered(values: Object) -> Object:
    message: Object = {}
    calls: dict[str, Object] = {}
    for key, value in values.items():
        name = key.removeprefix("message.")
        parts = name.split(".", 2)
        if parts[0] == "tool_calls" and len(parts) == 3:
            calls.setdefault(parts[1], {})[parts[2].removeprefix("function.")] = value
        elif name not in {"gen_ai.system", "gen_ai.provider.name", "event.name"}:
            message[name] = value
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def _add(target: Object, key: str, items: list[JSON]) -> None:
    known = target.get(key)
    target[key] = [*(known if isinstance(known, list) else []), *items]


def _details(facts: EventFacts, values: Object) -> None:
    """Read `gen_ai.client.inference.operation.details`, which has what the span's attributes may have."""
    if instructions := system_message(values.get("gen_ai.system_instructions")):
        _add(facts.inputs, "messages", instructions)
    for name, target in (("gen_ai.input.messages", facts.inputs), ("gen_ai.output.messages", facts.outputs)):
        if name in values:
            _add(target, "messages", messages(values[name], "user" if target is facts.inputs else "assistant"))


_READERS: Mapping[str, Callable[[EventFacts, Object], None]] = {
    "exception": _exception,
    "gen_ai.content.prompt": _prompt,
    "gen_ai.content.completion": _completion,
    "gen_ai.system.message": _input_message("system"),
    "gen_ai.user.message": _input_message("user"),
    "gen_ai.assistant.message": _output_message("assistant"),
    "gen_ai.tool.message": _output_message("tool"),
    "gen_ai.choice": _choice,
    "gen_ai.client.inference.operation.details": _details,
}

MESSAGE_LOGS: Mapping[str, Callable[[EventFacts, Object], None]] = {
    "gen_ai.system.message": _input_message("system"),
    "gen_ai.user.message": _input_message("user"),
    "gen_ai.assistant.message": _input_message("assistant"),
    "gen_ai.tool.message": _input_message("tool"),
    "gen_ai.choice": _choice,
    "gen_ai.client.inference.operation.details": _details,
}
"""Log records with messages, by name: those of assistant and tools are what was said before, the answer is a choice."""
