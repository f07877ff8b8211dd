"""Messages of every convention as LangSmith shows them: `{"role", "content", "tool_calls", …}`.

GenAI writes `parts`, OpenInference `message.contents.{n}.message_content`, OpenLLMetry `content` with JSON inside,
Logfire an event for each message.
"""

from collections.abc import Callable, Iterable, Mapping

from ganglion_exporters._langsmith._values import JSON, Object, document, parsed, text_of

__all__ = ["messages", "system_message"]

# OpenInference marks where a call came in the contents; the call itself is among `tool_calls`.
_CALL_ELSEWHERE: Object = {"type": "tool_use"}

# Most messages, which need no more than to be handed on: what does not begin so is no JSON.
_SIMPLE = {"role", "content"}
_BEGINNINGS = frozenset("[{ \t\r\n")

# A message's own keys besides role, content and tool calls that are of no use when shown.
_LEFT_OUT = frozenset(
    {"parts", "content", "contents", "tool_calls", "role", "function_call", "function_call_name"}
    | {"function_call_arguments_json", "event.name", "gen_ai.message.index", "gen_ai.system", "message"}
)


def messages(value: JSON, role: str) -> list[JSON]:
    """Return messages of a list, of its JSON, or of one alone; `role` is of those that have none."""
    found = parsed(value)
    if found is None or found == "":
        return []
    items = found if isinstance(found, list) else [found]
    return [message for item in items for message in _message(item, role)]


def system_message(value: JSON) -> list[JSON]:
    """Return `gen_ai.system_instructions` (text, or a list of parts) as a message."""
    found = parsed(value)
    if not found:
        return []
    return messages({"role": "system", "parts": found if isinstance(found, list) else [found]}, "system")


def _message(item: JSON, role: str) -> Iterable[Object]:
    if not isinstance(item, dict):
        return [{"role": role, "content": item}]
    simple = item.get("message") if len(item) == 1 else item
    if isinstance(simple, dict) and simple.keys() == _SIMPLE:
        content = simple["content"]
        if isinstance(content, str) and content[:1] not in _BEGINNINGS:
            return [{"role": simple["role"] or role, "content": content}]
    inner = parsed(item.get("message"))
    raw = {**item, **inner} if isinstance(inner, dict) else item
    if isinstance(inner, str):
        raw = {**item, "content": inner}
    calls = _tool_calls(raw)
    blocks, responses = _content(raw, calls)
    message: Object = {"role": raw.get("role") or role}
    if blocks or not responses:
        message["content"] = blocks
    message.update((key, found) for key, found in raw.items() if key not in _LEFT_OUT)
    if calls:
        message["tool_calls"] = calls
    if message["role"] == "tool" and "tool_call_id" not in message and "id" in message:
        message["tool_call_id"] = message.pop("id")
    return [message, *responses] if blocks or calls or not responses else responses


def _content(raw: Object, calls: list[JSON]) -> tuple[JSON, list[Object]]:
    """Return the content, and results of tools that are messages of their own; adds to `calls`."""
    parts = parsed(raw.get("parts"))
    if isinstance(parts, list):
        return _parts(parts, calls)
    contents = raw.get("contents")
    if isinstance(contents, list):
        blocks = [_content_block(item) for item in contents]
        return _plain_text([block for block in blocks if block != _CALL_ELSEWHERE]), []
    content = raw.get("content")
    found = parsed(content)
    typed = isinstance(found, list) and found and all(isinstance(item, dict) and "type" in item for item in found)
    return (found if typed or not isinstance(content, str) else content), []


def _parts(parts: Iterable[JSON], calls: list[JSON]) -> tuple[JSON, list[Object]]:
    blocks: list[JSON] = []
    responses: list[Object] = []
    for part in parts:
        if not isinstance(part, dict):
            blocks.append({"type": "text", "text": text_of(part)})
        elif part.get("type") == "tool_call":
            calls.append(_tool_call(part))
        elif part.get("type") == "tool_call_response":
            responses.append(_response(part))
        else:
            block = _PARTS.get(text_of(part.get("type")))
            blocks.append(block(part) if block else part)
    return _plain_text(blocks), responses


def _plain_text(blocks: list[JSON]) -> JSON:
    """Return a single text as it is."""
    if not blocks:
        return ""
    first = blocks[0]
    if len(blocks) == 1 and isinstance(first, dict) and first.keys() == {"type", "text"} and first["type"] == "text":
        return first["text"]
    return blocks


def _response(part: Object) -> Object:
    result = next((part[key] for key in ("response", "result", "content") if key in part), None)
    named: Object = {"name": part["name"]} if "name" in part else {}
    return {"role": "tool", "content": text_of(result), "tool_call_id": part.get("id"), **named}


def _text(part: Object) -> Object:
    return {"type": "text", "text": part["content"] if "content" in part else part.get("text", "")}


def _reasoning(part: Object) -> Object:
    return {"type": "reasoning", "text": part["content"] if "content" in part else part.get("text", "")}


def _file(source: str, target: str) -> Callable[[Object], Object]:
    def block(part: Object) -> Object:
        modality = text_of(part.get("modality"))
        kind = modality if modality in {"image", "audio", "video"} else "file"
        typed: Object = {"mime_type": part["mime_type"]} if part.get("mime_type") else {}
        return {"type": kind, target: part.get(source), **typed}

    return block


def _server_call(part: Object) -> Object:
    call = part.get("server_tool_call")
    arguments = call if isinstance(call, dict) else document(part.get("arguments"), "input")
    return {"type": "server_tool_call", "id": part.get("id"), "name": part.get("name"), "args": arguments}


def _server_result(part: Object) -> Object:
    output = part.get("server_tool_call_response", part.get("response"))
    return {"type": "server_tool_result", "tool_call_id": part.get("id"), "status": "success", "output": output}


_PARTS: Mapping[str, Callable[[Object], Object]] = {
    "text": _text,
    "reasoning": _reasoning,
    "thinking": _reasoning,
    "blob": _file("content", "base64"),
    "uri": _file("uri", "url"),
    "file": _file("file_id", "id"),
    "server_tool_call": _server_call,
    "server_tool_call_response": _server_result,
}
"""Type of a GenAI part to the block of LangSmith's message format; tool calls and their results stand apart."""


def _content_block(item: JSON) -> JSON:
    """Return a block of what OpenInference calls a message content."""
    content = item.get("message_content", item) if isinstance(item, dict) else item
    if not isinstance(content, dict):
        return {"type": "text", "text": text_of(content)}
    for kind in ("image", "audio", "video"):
        media = content.get(kind)
        if isinstance(media, dict):
            inner = media.get(kind, media)
            return {"type": kind, **(inner if isinstance(inner, dict) else {"url": inner})}
    return content


def _tool_calls(raw: Object) -> list[JSON]:
    found = parsed(raw.get("tool_calls"))
    calls = [_tool_call(call) for call in found] if isinstance(found, list) else []
    old = raw.get("function_call")
    if isinstance(old, dict):
        calls.append(_tool_call(old))
    if raw.get("function_call_name"):
        named: Object = {"name": raw["function_call_name"], "arguments": raw.get("function_call_arguments_json")}
        calls.append(_tool_call(named))
    return calls


def _tool_call(item: JSON) -> JSON:
    """Return a call as OpenAI writes it: arguments are JSON in a text."""
    if not isinstance(item, dict):
        return item
    inner = item.get("tool_call")
    call = inner if isinstance(inner, dict) else item
    function = call.get("function")
    named = function if isinstance(function, dict) else call
    arguments = named.get("arguments", named.get("args"))
    return {
        "id": call.get("id"),
        "type": "function",
        "function": {"name": named.get("name"), "arguments": text_of(arguments)},
    }
