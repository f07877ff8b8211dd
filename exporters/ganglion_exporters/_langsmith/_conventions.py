"""Where each span attribute belongs, one table per convention.

Sources: LangSmith's "Trace with OpenTelemetry", the OpenTelemetry GenAI semantic conventions (all versions since 1.27),
OpenInference's and OpenLLMetry's semantic conventions, Logfire and Pydantic AI as they write their spans.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, auto

from ganglion_collector.model_calls import MODELS, PROVIDERS, USAGE

from ganglion_exporters._langsmith.model import RunType

__all__ = [
    "EXAMPLE",
    "GENERIC",
    "KINDS",
    "METADATA",
    "PARAMETERS",
    "PLACES",
    "Group",
    "Place",
    "place",
]

EXAMPLE = "langsmith.reference_example_id"

_LANGSMITH_KINDS: Mapping[str, RunType] = {
    "llm": "llm",
    "chain": "chain",
    "tool": "tool",
    "retriever": "retriever",
    "embedding": "embedding",
    "prompt": "prompt",
    "parser": "parser",
}
_OPERATIONS: Mapping[str, RunType] = {
    **_LANGSMITH_KINDS,
    "chat": "llm",
    "completion": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "embeddings": "embedding",
    "execute_tool": "tool",
    "retrieval": "retriever",
    "rerank": "retriever",
    "create_agent": "chain",
    "invoke_agent": "chain",
    "invoke_workflow": "chain",
    "plan": "chain",
}
_FRAMEWORK_KINDS: Mapping[str, RunType] = {
    **_LANGSMITH_KINDS,
    "reranker": "retriever",
}
_REQUEST_TYPES: Mapping[str, RunType] = {"embedding": "embedding", "embeddings": "embedding"}
_LAYERS: Mapping[str, RunType] = {"retrieval": "retriever", "generation": "llm"}
KINDS: tuple[tuple[str, Mapping[str, RunType], RunType | None], ...] = (
    ("langsmith.span.kind", _LANGSMITH_KINDS, None),
    ("gen_ai.operation.name", _OPERATIONS, None),
    ("llm.request.type", _REQUEST_TYPES, "llm"),
    ("traceloop.llm.request.type", _REQUEST_TYPES, "llm"),
    ("openinference.span.kind", _FRAMEWORK_KINDS, "chain"),
    ("traceloop.span.kind", _FRAMEWORK_KINDS, "chain"),
    ("rag.layer", _LAYERS, "chain"),
)
"""Attributes that say the run type, the most telling first: values in lower case, and what any other value means."""

PARAMETERS: Mapping[str, str] = {
    "gen_ai.request.temperature": "temperature",
    "gen_ai.request.top_p": "top_p",
    "gen_ai.request.top_k": "top_k",
    "gen_ai.request.max_tokens": "max_tokens",
    "gen_ai.request.frequency_penalty": "frequency_penalty",
    "gen_ai.request.presence_penalty": "presence_penalty",
    "gen_ai.request.seed": "seed",
    "gen_ai.request.stop_sequences": "stop",
    "gen_ai.request.encoding_formats": "encoding_formats",
    "gen_ai.request.choice.count": "n",
    "gen_ai.request.stream": "stream",
    "gen_ai.is_streaming": "stream",
    "gen_ai.openai.request.seed": "seed",
    "gen_ai.openai.request.response_format": "response_format",
    "gen_ai.openai.request.service_tier": "service_tier",
    "gen_ai.tool.name": "tool_name",
    "gen_ai.tool.definitions": "tools",
    "llm.frequency_penalty": "frequency_penalty",
    "llm.presence_penalty": "presence_penalty",
    "llm.top_k": "top_k",
    "llm.chat.stop_sequences": "stop",
    "llm.is_streaming": "stream",
    "llm.request.functions": "functions",
    "llm.request.repetition_penalty": "repetition_penalty",
    "reranker.top_k": "top_k",
    "tools": "tools",
    "tool_arguments": "tool_arguments",
}
"""Attribute to parameter of the invocation."""

METADATA: Mapping[str, str] = {
    "session.id": "session_id",
    "gen_ai.conversation.id": "thread_id",
    "thread_id": "thread_id",
    "conversation_id": "conversation_id",
    "user.id": "user_id",
    "enduser.id": "user_id",
    "llm.user": "user_id",
    "tenant.id": "tenant_id",
}
"""Attribute to key of the metadata, where LangSmith has a key for it; any other keeps its name."""

GENERIC = ("prompt", "events", "final_result", "tool_response")
"""Logfire's names of inputs and outputs, which on a span of anything else may mean anything."""

# Read by name elsewhere, and in the metadata only where nothing could be made of them.
_READ = frozenset(
    {
        EXAMPLE,
        "langsmith.trace.name",
        "langsmith.trace.id",
        "langsmith.trace.session_id",
        "langsmith.trace.session_name",
        "langsmith.span.id",
        "langsmith.span.parent_id",
        "langsmith.span.dotted_order",
        "langsmith.span.tags",
        "langsmith.is_root",
        "langsmith.attachments",
        "langsmith.usage_metadata",
        "traceloop.entity.name",
        "tag.tags",
        "metadata",
        "llm.invocation_parameters",
        "embedding.invocation_parameters",
        "llm.prompt_template.variables",
        "gen_ai.request.model",
        "gen_ai.prompt",
        "gen_ai.completion",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.retrieval.query.text",
        "gen_ai.retrieval.documents",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "llm.input_messages",
        "llm.output_messages",
        "input.value",
        "output.value",
        "retrieval.documents",
        "reranker.query",
        "traceloop.entity.input",
        "traceloop.entity.output",
        "mcp.request.argument",
        "mcp.response.value",
        "all_messages_events",
        "pydantic_ai.all_messages",
        "langsmith.span.kind",
        *GENERIC,
        *PROVIDERS,
        *USAGE,
    }
)

# Read by name, and of interest as they are.
_READ_AND_KEPT = frozenset(
    {"tool.name", "gen_ai.response.time_to_first_chunk", *MODELS, *(name for name, _, _ in KINDS)}
) - {"gen_ai.request.model", "langsmith.span.kind"}

# Of a service's settings, of headers, or what only repeats the rest.
_NOISE = (
    "langsmith.metadata.LANGSMITH_",
    "langsmith.metadata.LANGCHAIN_",
    "langsmith.request.headers",
    "langsmith.span.runtime",
    "langsmith.traceable",
    "llm.headers",
    "input.mime_type",
    "output.mime_type",
    "logfire.json_schema",
)

_LLM = (
    "gen_ai.",
    "langsmith.",
    "llm.",
    "openinference.",
    "traceloop.",
    "retrieval.",
    "embedding.",
    "reranker.",
    "rag.",
)
_LLM_NAMES = frozenset({"input.value", "output.value", "all_messages_events", "pydantic_ai.all_messages"})

# Lists that are spread over attributes: `<name>.<index>.<rest>`.
_LISTS = (
    "gen_ai.prompt",
    "gen_ai.completion",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompts",
    "llm.choices",
    "llm.request.functions",
    "llm.tools",
    "retrieval.documents",
    "reranker.input_documents",
    "reranker.output_documents",
    "embedding.embeddings",
)
_PREFIXED = ("langsmith.metadata.", "traceloop.association.properties.")
_MOST_PARTS = 16
_LONGEST_KNOWN = 200
_MOST_KNOWN = 10_000


class Group(IntEnum):
    """What is done with an attribute."""

    METADATA = auto()
    READ = auto()
    PARAMETER = auto()
    ITEM = auto()
    GIVEN_METADATA = auto()
    READ_AND_KEPT = auto()
    NOISE = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """`name` is the key there; `path` leads to an item of a spread list, its indices as numbers."""

    group: Group
    name: str
    is_llm: bool
    path: tuple[str | int, ...] = ()


PLACES: dict[str, Place] = {}
"""What `place` found for the attributes seen so far; bounded, since names come from anywhere."""


def place(key: str) -> Place:
    """Return where an attribute belongs, by its name alone."""
    found = PLACES.get(key)
    if found is None:
        found = _place(key)
        if len(key) <= _LONGEST_KNOWN and len(PLACES) < _MOST_KNOWN:
            PLACES[key] = found
    return found


def _place(key: str) -> Place:
    is_llm = key.startswith(_LLM) or key in _LLM_NAMES
    if key.startswith(_NOISE):
        return Place(Group.NOISE, key, is_llm)
    if key in PARAMETERS:
        return Place(Group.PARAMETER, PARAMETERS[key], is_llm)
    if key in _READ:
        return Place(Group.READ, key, is_llm)
    if key in _READ_AND_KEPT:
        return Place(Group.READ_AND_KEPT, key, is_llm)
    for prefix in _PREFIXED:
        if key.startswith(prefix) and key != prefix:
            return Place(Group.GIVEN_METADATA, key.removeprefix(prefix), is_llm)
    if path := _path(key):
        return Place(Group.ITEM, str(path[0]), is_llm, path[1:])
    return Place(Group.METADATA, METADATA.get(key, key), is_llm)


def _path(key: str) -> tuple[str | int, ...]:
    for name in _LISTS:
        if key.startswith(f"{name}."):
            parts = [_part(part) for part in key[len(name) + 1 :].split(".")]
            return (name, *parts) if isinstance(parts[0], int) and 1 < len(parts) <= _MOST_PARTS else ()
    return ()


def _part(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
