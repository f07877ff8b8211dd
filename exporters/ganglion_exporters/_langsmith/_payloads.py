"""Inputs and outputs of a run: which attribute they come from, and in which form."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from ganglion_exporters._langsmith._messages import messages, system_message
from ganglion_exporters._langsmith._values import JSON, Object, document, literal, parsed

__all__ = ["INPUTS", "OUTPUTS", "read_inputs", "read_outputs"]

_Form: TypeAlias = Callable[[JSON], Object]
_Sources: TypeAlias = Sequence[tuple[str, _Form]]


def _messages(role: str) -> _Form:
    def form(value: JSON) -> Object:
        found = messages(value, role)
        return {"messages": found} if found else {}

    return form


def _under(key: str) -> _Form:
    return lambda value: document(value, key)


def _documents(value: JSON) -> Object:
    """Return retrieved documents as LangSmith shows them."""
    found = parsed(value)
    return {"documents": [_document(item) for item in found]} if isinstance(found, list) and found else {}


def _document(item: JSON) -> JSON:
    inner = item.get("document", item) if isinstance(item, dict) else item
    if not isinstance(inner, dict):
        return {"page_content": inner, "type": "Document", "metadata": {}}
    given = literal(inner.get("metadata"))
    metadata: Object = given if isinstance(given, dict) else {} if given is None else {"metadata": given}
    rest = {key: value for key, value in inner.items() if key not in {"content", "page_content", "metadata", "type"}}
    content = inner.get("content", inner.get("page_content", ""))
    return {"page_content": content, "type": "Document", "metadata": {**metadata, **rest}}


def _texts(value: JSON) -> Object:
    """Return what was embedded."""
    found = [item["text"] for item in _embeddings(value) if "text" in item]
    return {"input": found} if found else {}


def _vectors(value: JSON) -> Object:
    found = [item["vector"] for item in _embeddings(value) if "vector" in item]
    return {"embeddings": found} if found else {}


def _embeddings(value: JSON) -> list[Object]:
    items = value if isinstance(value, list) else []
    inner = [item.get("embedding", item) for item in items if isinstance(item, dict)]
    return [item for item in inner if isinstance(item, dict)]


def _prompts(value: JSON) -> Object:
    found = value if isinstance(value, list) else []
    texts = [item["prompt"] if isinstance(item, dict) and "prompt" in item else item for item in found]
    return {"prompts": [text.get("text", text) if isinstance(text, dict) else text for text in texts]} if texts else {}


def _choices(value: JSON) -> Object:
    return {"choices": value} if value else {}


def _logfire_inputs(value: JSON) -> Object:
    return _messages("user")([event for event in _logfire(value) if not _is_choice(event)])


def _logfire_outputs(value: JSON) -> Object:
    return _messages("assistant")([event for event in _logfire(value) if _is_choice(event)])


def _logfire(value: JSON) -> list[JSON]:
    found = parsed(value)
    return [event for event in found if isinstance(event, dict)] if isinstance(found, list) else []


def _is_choice(event: JSON) -> bool:
    return isinstance(event, dict) and event.get("event.name") == "gen_ai.choice"


INPUTS: _Sources = (
    ("gen_ai.input.messages", _messages("user")),
    ("gen_ai.prompt.{n}", _messages("user")),
    ("llm.input_messages.{n}", _messages("user")),
    ("llm.input_messages", _messages("user")),
    ("llm.prompts.{n}", _prompts),
    ("gen_ai.retrieval.query.text", _under("query")),
    ("reranker.query", _under("query")),
    ("input.value", _under("input")),
    ("traceloop.entity.input", _under("input")),
    ("gen_ai.prompt", _under("input")),
    ("embedding.embeddings.{n}", _texts),
    ("gen_ai.tool.call.arguments", _under("input")),
    ("mcp.request.argument", _under("input")),
    ("prompt", _under("input")),
    ("events", _logfire_inputs),
)
OUTPUTS: _Sources = (
    ("retrieval.documents.{n}", _documents),
    ("retrieval.documents", _documents),
    ("gen_ai.retrieval.documents", _documents),
    ("reranker.output_documents.{n}", _documents),
    ("gen_ai.output.messages", _messages("assistant")),
    ("gen_ai.completion.{n}", _messages("assistant")),
    ("llm.output_messages.{n}", _messages("assistant")),
    ("llm.output_messages", _messages("assistant")),
    ("llm.choices.{n}", _choices),
    ("output.value", _under("text")),
    ("traceloop.entity.output", _under("output")),
    ("gen_ai.completion", _under("output")),
    ("embedding.embeddings.{n}", _vectors),
    ("gen_ai.tool.call.result", _under("output")),
    ("mcp.response.value", _under("output")),
    ("all_messages_events", _messages("user")),
    ("pydantic_ai.all_messages", _messages("user")),
    ("events", _logfire_outputs),
    ("final_result", _under("output")),
    ("tool_response", _under("output")),
)


def read_inputs(known: Mapping[str, JSON], run_type: str) -> tuple[Object, str]:
    """Return the inputs and the attribute that they are from: the first of the table that has any."""
    inputs, source = _first(INPUTS, known)
    if run_type == "prompt":
        inputs = {**inputs, **document(literal(known.get("llm.prompt_template.variables")), "variables")}
    if run_type == "retriever" and inputs.keys() == {"input"} and isinstance(inputs["input"], str):
        inputs = document(inputs["input"], "query")
    instructions = system_message(known.get("gen_ai.system_instructions"))
    if instructions:
        found = inputs.get("messages")
        inputs = dict(inputs)
        inputs["messages"] = [*instructions, *(found if isinstance(found, list) else [])]
    if "reranker.input_documents.{n}" in known:
        inputs = {**inputs, **_documents(known["reranker.input_documents.{n}"])}
    return inputs, source


def read_outputs(known: Mapping[str, JSON]) -> tuple[Object, str]:
    """Return the outputs and the attribute that they are from."""
    return _first(OUTPUTS, known)


def _first(sources: _Sources, known: Mapping[str, JSON]) -> tuple[Object, str]:
    for name, form in sources:
        if name in known and (found := form(known[name])):
            return found, name
    return {}, ""
