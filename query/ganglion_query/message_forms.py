"""One message in the form that any convention gives it, as role and text. Pure.

GenAI writes `parts`, OpenInference `message.contents`, OpenAI and Anthropic `content` (text or typed blocks) and
`tool_calls`, LangChain a class with `kwargs` or `data`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["Message", "listed", "parsed", "read_message", "read_whole", "spread"]

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool", "AIMessageChunk": "assistant"}
_TYPES = frozenset({*_ROLES, "system", "tool"})
_CLASSES = {"HumanMessage": "user", "AIMessage": "assistant", "SystemMessage": "system", "ToolMessage": "tool"}
_SAYING = frozenset({"content", "contents", "parts", "tool_calls", "refusal"})
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal"})
_THOUGHTS = frozenset({"reasoning", "thinking"})
_CALLS = frozenset({"tool_call", "tool_use", "function_call", "server_tool_call"})
_RESPONSES = frozenset({"tool_call_response", "tool_result", "function_call_output", "server_tool_call_response"})
_LISTS = ("messages", "choices", "generations", "prompts", "output")
_WRAPPERS = ("inputs", "outputs", "input", "kwargs")
_MOST_PARTS = 16
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation with a model; `role` is system, user, assistant, tool or what it was told.

    `content` is text, or JSON where it is none, as the calls of tools that a model asks for. What a model thought
    has the role `reasoning`.
    """

    role: str
    content: str


def parsed(value: object) -> object:
    """Return the object or array that a text holds as JSON, else the value itself."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def listed(value: object) -> list[object]:
    """Return the items of a list or of its JSON, an object alone as one; anything else has none."""
    found = parsed(value)
    if isinstance(found, list):
        return cast("list[object]", found)
    return [cast("object", found)] if isinstance(found, dict) else []


def spread(attributes: Mapping[str, Any], name: str) -> list[object]:
    """Return a list that is spread over attributes as `<name>.<index>.<rest>`, in the order of the indices."""
    root: dict[str, object] = {}
    for key, value in attributes.items():
        if key.startswith(f"{name}."):
            _put(root, key[len(name) + 1 :].split(".", _MOST_PARTS), value)
    gathered = _gathered(root)
    return cast("list[object]", gathered) if isinstance(gathered, list) else []


def _put(into: dict[str, object], path: list[str], value: object) -> None:
    for part in path[:-1]:
        inner = into.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        into = cast("dict[str, object]", inner)
    into.setdefault(path[-1], value)


def _gathered(node: object) -> object:
    items = {key: _gathered(item) for key, item in _object(node).items()}
    if not items:
        return node
    if all(key.isascii() and key.isdigit() for key in items):
        return [items[key] for key in sorted(items, key=int)]
    return items


def read_whole(value: object, role: str, depth: int = 0) -> list[Message]:
    """Return the messages in a whole request or answer; where it holds none, all of it as one of `role`."""
    found = parsed(value)
    if found is None or found in ("", [], {}):
        return []
    inner = _inside(found, role, depth + 1) if depth < _DEEPEST else []
    return inner or [Message(role, _text(value))]


def _inside(value: object, role: str, depth: int) -> list[Message]:
    items = listed(value)
    if isinstance(value, list):
        return [one for item in items for one in read_whole(item, role, depth)] if _has_messages(items) else []
    document = _object(value)
    if _is_message(document):
        return read_message(document, role)
    for name in _LISTS:
        if found := listed(document.get(name)):
            system = read_message({"role": "system", "content": document.get("system")}, role)
            return [*system, *(one for item in found for one in read_whole(item, role, depth))]
    wrapped = next((document[name] for name in _WRAPPERS if listed(document.get(name))), None)
    return read_whole(wrapped, role, depth)


def _has_messages(items: Sequence[object]) -> bool:
    """Tell whether any of a list, or of the lists in it, is a message."""
    lists = (cast("list[object]", item) for item in items if isinstance(item, list))
    return any(_is_message(_object(item)) for item in items) or any(map(_has_messages, lists))


def _is_message(item: Mapping[str, Any]) -> bool:
    if isinstance(item.get("message"), dict) or _is_constructor(item) or "generation_info" in item:
        return True
    if str(item.get("type")) in _TYPES:
        return "content" in item or isinstance(item.get("data"), dict)
    return "role" in item and not _SAYING.isdisjoint(item)


def _is_constructor(item: Mapping[str, Any]) -> bool:
    return item.get("type") == "constructor" and isinstance(item.get("kwargs"), dict)


def read_message(item: object, role: str) -> list[Message]:
    """Return a message as texts: what was said, then what was thought, asked of tools and answered by them."""
    if not isinstance(item, dict):
        return [Message(role, _text(item))] if item not in (None, "") else []
    raw = _unwrapped(cast("dict[str, Any]", item))
    said = _role(raw) or role
    pieces = [piece for block in _blocks(raw) for piece in _pieces(block, said)]
    calls = [_call(call) for name in ("tool_calls", "function_call") for call in listed(raw.get(name))]
    if raw.get("function_call_name"):
        calls.append({"name": raw["function_call_name"], "arguments": parsed(raw.get("function_call_arguments_json"))})
    return [*_joined(pieces), *([_asked(calls, said)] if calls else [])]


def _unwrapped(item: Mapping[str, Any]) -> Mapping[str, Any]:
    if _is_constructor(item):
        role = next((_CLASSES[one] for one in map(str, listed(item.get("id"))) if one in _CLASSES), None)
        return {"role": role, **_object(item["kwargs"])}
    for name in ("message", "data"):
        inner = parsed(item.get(name))
        if isinstance(inner, dict):
            rest = {key: value for key, value in item.items() if key != name}
            return _unwrapped({**rest, **cast("dict[str, Any]", inner)})
    if "generation_info" in item or isinstance(item.get("message"), str):
        return {"content": item.get("message", item.get("text")), **item}
    return item


def _role(raw: Mapping[str, Any]) -> str:
    named = raw.get("role") or (raw.get("type") if str(raw.get("type")) in _TYPES else None)
    return _ROLES.get(str(named), str(named)) if named else ""


def _blocks(raw: Mapping[str, Any]) -> list[object]:
    for name in ("parts", "contents", "content", "refusal"):
        value = raw.get(name)
        if isinstance(parsed(value), list) and (name != "content" or _are_blocks(listed(value))):
            return listed(value)
        if value not in (None, "", []):
            return [value]
    return []


def _are_blocks(items: Iterable[object]) -> bool:
    return all(isinstance(item, str) or "type" in _object(item) for item in items)


def _pieces(block: object, role: str) -> Iterator[Message]:
    if isinstance(block, dict):
        part = _object(cast("object", block))
        yield from _part(_object(part["message_content"]) if "message_content" in part else part, role)
    elif block not in (None, ""):
        yield Message(role, _text(block))


def _part(part: Mapping[str, Any], role: str) -> Iterator[Message]:
    kind = str(part.get("type") or "")
    text = _first_of(part, ("content", "text", "thinking", "refusal"))
    if kind in _TEXTS or (not kind and isinstance(text, str)):
        yield Message(role, _text(text))
    elif kind in _THOUGHTS:
        yield Message("reasoning", _text(part if text is None else text))
    elif kind in _RESPONSES:
        result = _first_of(part, ("response", "result", "content", "output"))
        yield Message("tool", _text(part if result is None else result))
    elif kind not in _CALLS:
        yield Message(role, _json(part))
    elif "name" in part or "server_tool_call" in part:  # OpenInference only marks where a call came
        yield _asked([_call(part)], role)


def _asked(calls: list[object], role: str) -> Message:
    return Message(role, _json({"tool_calls": calls}))


def _call(item: object) -> object:
    call = _object(item)
    call = _object(call.get("tool_call")) or call
    named = _object(call.get("function")) or call
    arguments = _first_of(named, ("arguments", "args", "input", "server_tool_call"))
    return {"name": named.get("name"), "arguments": parsed(arguments)}


def _first_of(item: Mapping[str, Any], names: Iterable[str]) -> object:
    return next((item[name] for name in names if name in item), None)


def _joined(pieces: Iterable[Message]) -> list[Message]:
    """Put texts of one role that follow each other together, as one message says them."""
    joined: list[Message] = []
    for piece in pieces:
        if joined and joined[-1].role == piece.role and not piece.content.startswith("{"):
            joined[-1] = Message(piece.role, f"{joined[-1].content}\n\n{piece.content}")
        else:
            joined.append(piece)
    return joined


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
