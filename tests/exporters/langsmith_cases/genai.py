"""OpenTelemetry's semantic conventions for generative AI, old and new."""

import json
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.exporters.langsmith_cases import Case

USER = {"role": "user", "content": "Weather in Paris?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}


def usage(**tokens: Any) -> dict[str, Any]:
    return {"metadata:usage_metadata": tokens}


NEW_INPUT = [
    {"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]},
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "look it up"},
            {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Paris"}},
        ],
    },
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"sky": "rainy"}}]},
]
SHOWN_INPUT = [
    USER,
    {"role": "assistant", "content": [{"type": "reasoning", "text": "look it up"}], "tool_calls": [CALL]},
    {"role": "tool", "content": '{"sky":"rainy"}', "tool_call_id": "c1"},
]
NEW_OUTPUT = [{"role": "assistant", "parts": [{"type": "text", "content": "Rain."}], "finish_reason": "stop"}]
SHOWN_OUTPUT = [{"role": "assistant", "content": "Rain.", "finish_reason": "stop"}]

CASES = [
    *(
        Case(f"operation {operation}", {"gen_ai.operation.name": operation}, {"run_type": kind, "is_llm": True})
        for operation, kind in {
            "chat": "llm",
            "completion": "llm",
            "text_completion": "llm",
            "generate_content": "llm",
            "embedding": "embedding",
            "embeddings": "embedding",
            "execute_tool": "tool",
            "retrieval": "retriever",
            "invoke_agent": "chain",
            "create_agent": "chain",
            "invoke_workflow": "chain",
            "parser": "parser",
        }.items()
    ),
    Case(
        "unknown operation", {"gen_ai.operation.name": "dream", "openinference.span.kind": "LLM"}, {"run_type": "llm"}
    ),
    Case("system", {"gen_ai.system": "OpenAI"}, {"metadata:ls_provider": "openai"}),
    Case(
        "provider",
        {"gen_ai.provider.name": "gcp.vertex_ai", "gen_ai.system": "x"},
        {"metadata:ls_provider": "google_vertexai"},
    ),
    Case(
        "model",
        {"gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024"},
        {
            "metadata:ls_model_name": "gpt-4o",
            "invocation_params:model": "gpt-4o",
            "metadata:gen_ai.response.model": "gpt-4o-2024",
        },
    ),
    Case(
        "model of the response",
        {"gen_ai.response.model": "gpt-4o-2024"},
        {"metadata:ls_model_name": "gpt-4o-2024", "invocation_params:model": "gpt-4o-2024"},
    ),
    Case(
        "parameters",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.temperature": 0.2,
            "gen_ai.request.top_p": 0.9,
            "gen_ai.request.max_tokens": 64,
            "gen_ai.request.frequency_penalty": 0.1,
            "gen_ai.request.presence_penalty": 0.0,
            "gen_ai.request.seed": 7,
            "gen_ai.request.top_k": 3,
            "gen_ai.request.encoding_formats": ["float"],
            "gen_ai.request.stop_sequences": ["END"],
            "gen_ai.request.choice.count": 2,
            "gen_ai.request.stream": True,
        },
        {
            "invocation_params": {
                "temperature": 0.2,
                "top_p": 0.9,
                "max_tokens": 64,
                "frequency_penalty": 0.1,
                "presence_penalty": 0.0,
                "seed": 7,
                "top_k": 3,
                "encoding_formats": ["float"],
                "stop": ["END"],
                "n": 2,
                "stream": True,
            },
            "metadata:ls_temperature": 0.2,
            "metadata:ls_max_tokens": 64,
            "metadata:ls_stop": ["END"],
            "metadata:ls_model_type": "chat",
        },
    ),
    Case("completions are no chat", {"gen_ai.operation.name": "text_completion"}, {"metadata:ls_model_type": "llm"}),
    Case(
        "tool",
        {"gen_ai.tool.name": "weather", "gen_ai.tool.call.id": "c1", "gen_ai.operation.name": "chat"},
        {"run_type": "tool", "invocation_params:tool_name": "weather", "metadata:gen_ai.tool.call.id": "c1"},
    ),
    Case(
        "a tool's call",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.call.arguments": '{"city":"Paris"}',
            "gen_ai.tool.call.result": "rainy",
        },
        {"inputs": {"city": "Paris"}, "outputs": {"output": "rainy"}},
    ),
    Case(
        "definitions of tools",
        {"gen_ai.tool.definitions": '[{"type":"function","name":"weather"}]'},
        {"invocation_params:tools": [{"type": "function", "name": "weather"}]},
    ),
    Case(
        "prompt and completion",
        {"gen_ai.prompt": '{"question": "why?"}', "gen_ai.completion": '{"answer": "so"}'},
        {"inputs": {"question": "why?"}, "outputs": {"answer": "so"}},
    ),
    Case(
        "prompt and completion as text",
        {"gen_ai.prompt": "why?", "gen_ai.completion": "so"},
        {"inputs": {"input": "why?"}, "outputs": {"output": "so"}},
    ),
    Case(
        "prompt as a list of messages",
        {"gen_ai.prompt": json.dumps([USER]), "gen_ai.completion": "[1]"},
        {"inputs": {"messages": [USER]}, "outputs": {"output": [1]}},
    ),
    Case(
        "spread messages",
        {
            "gen_ai.prompt.1.content": "Weather in Paris?",
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Be short",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "Rain.",
            "gen_ai.completion.0.finish_reason": "stop",
            "gen_ai.prompt": "not this",
        },
        {
            "inputs": {"messages": [{"role": "system", "content": "Be short"}, USER]},
            "outputs": {"messages": SHOWN_OUTPUT},
        },
    ),
    Case(
        "spread messages, one level down",
        {
            "gen_ai.prompt.0.message.role": "user",
            "gen_ai.prompt.0.message.content": "Weather in Paris?",
            "gen_ai.completion.0.message.content": "Rain.",
        },
        {"inputs": {"messages": [USER]}, "outputs": {"messages": [{"role": "assistant", "content": "Rain."}]}},
    ),
    Case(
        "messages in parts",
        {"gen_ai.input.messages": json.dumps(NEW_INPUT), "gen_ai.output.messages": json.dumps(NEW_OUTPUT)},
        {"inputs": {"messages": SHOWN_INPUT}, "outputs": {"messages": SHOWN_OUTPUT}},
    ),
    Case(
        "messages in parts, as values",
        {"gen_ai.input.messages": NEW_INPUT, "gen_ai.output.messages": NEW_OUTPUT},
        {"inputs": {"messages": SHOWN_INPUT}, "outputs": {"messages": SHOWN_OUTPUT}},
    ),
    Case(
        "parts of every type",
        {
            "gen_ai.input.messages": [
                {
                    "role": "user",
                    "parts": [
                        {"type": "text", "content": "see"},
                        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="},
                        {"type": "uri", "modality": "video", "uri": "https://x/v.mp4"},
                        {"type": "file", "modality": "document", "file_id": "f1", "mime_type": "application/pdf"},
                        {
                            "type": "server_tool_call",
                            "id": "s1",
                            "name": "search",
                            "server_tool_call": {"type": "web", "q": "x"},
                        },
                        {"type": "server_tool_call_response", "id": "s1", "server_tool_call_response": {"hits": 1}},
                        {"type": "refusal", "content": "no"},
                        "bare",
                    ],
                }
            ]
        },
        {
            "inputs": {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "see"},
                            {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
                            {"type": "video", "url": "https://x/v.mp4"},
                            {"type": "file", "id": "f1", "mime_type": "application/pdf"},
                            {
                                "type": "server_tool_call",
                                "id": "s1",
                                "name": "search",
                                "args": {"type": "web", "q": "x"},
                            },
                            {
                                "type": "server_tool_result",
                                "tool_call_id": "s1",
                                "status": "success",
                                "output": {"hits": 1},
                            },
                            {"type": "refusal", "content": "no"},
                            {"type": "text", "text": "bare"},
                        ],
                    }
                ]
            }
        },
    ),
    Case(
        "instructions",
        {
            "gen_ai.system_instructions": '[{"type":"text","content":"Be short"}]',
            "gen_ai.input.messages": json.dumps(NEW_INPUT[:1]),
        },
        {"inputs": {"messages": [{"role": "system", "content": "Be short"}, USER]}},
    ),
    Case(
        "instructions alone",
        {"gen_ai.system_instructions": "Be short"},
        {"inputs": {"messages": [{"role": "system", "content": "Be short"}]}},
    ),
    Case(
        "retrieval",
        {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.query.text": "cats",
            "gen_ai.retrieval.documents": '[{"id": "d1", "score": 0.5, "content": "a cat"}]',
        },
        {
            "inputs": {"query": "cats"},
            "outputs": {
                "documents": [{"page_content": "a cat", "type": "Document", "metadata": {"id": "d1", "score": 0.5}}]
            },
        },
    ),
    Case(
        "tokens",
        {"gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7},
        {**usage(input_tokens=11, output_tokens=7, total_tokens=18), "outputs": {}},
    ),
    Case(
        "tokens of a call are with its outputs too",
        {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 11},
        {
            **usage(input_tokens=11, total_tokens=11),
            "outputs": {"usage_metadata": {"input_tokens": 11, "total_tokens": 11}},
        },
    ),
    Case(
        "tokens by their old names",
        {"gen_ai.usage.prompt_tokens": 11, "gen_ai.usage.completion_tokens": 7, "gen_ai.usage.total_tokens": 20},
        usage(input_tokens=11, output_tokens=7, total_tokens=20),
    ),
    Case(
        "details of tokens",
        {
            "gen_ai.usage.input_tokens": 11,
            "gen_ai.usage.cache_read.input_tokens": 3,
            "gen_ai.usage.cache_creation.input_tokens": 2,
            "gen_ai.usage.output_tokens": 7,
            "gen_ai.usage.reasoning.output_tokens": 4,
        },
        usage(
            input_tokens=11,
            output_tokens=7,
            total_tokens=18,
            input_token_details={"cache_read": 3, "cache_creation": 2},
            output_token_details={"reasoning": 4},
        ),
    ),
    Case(
        "reasoning by its old name",
        {"gen_ai.usage.output_tokens": 7, "gen_ai.usage.details.reasoning_tokens": 4},
        usage(output_tokens=7, total_tokens=7, output_token_details={"reasoning": 4}),
    ),
    Case(
        "cached tokens that were not counted",
        {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.cache_read_input_tokens": 100, "gen_ai.usage.output_tokens": 1},
        usage(input_tokens=105, output_tokens=1, total_tokens=106, input_token_details={"cache_read": 100}),
    ),
    Case(
        "counts as text",
        {"gen_ai.usage.input_tokens": "11", "gen_ai.usage.output_tokens": "many"},
        usage(input_tokens=11, total_tokens=11),
    ),
    Case("conversation", {"gen_ai.conversation.id": "t1"}, {"metadata:thread_id": "t1"}),
    Case(
        "the rest is metadata",
        {"gen_ai.response.id": "r1", "gen_ai.response.finish_reasons": ["stop"], "gen_ai.agent.name": "planner"},
        {
            "metadata:gen_ai.response.id": "r1",
            "metadata:gen_ai.response.finish_reasons": ["stop"],
            "metadata:gen_ai.agent.name": "planner",
        },
    ),
    Case(
        "time to the first chunk",
        {"gen_ai.response.time_to_first_chunk": 0.25},
        {"events": [{"name": "new_token", "time": "2026-11-20T15:11:28.691948+00:00"}]},
    ),
    Case(
        "first token",
        {},
        {"events": [{"name": "new_token", "time": "2026-11-20T15:11:28.441949+00:00", "kwargs": {"token": "R"}}]},
        events=[("new_token", {"token": "R"})],
    ),
    Case(
        "first token of OpenInference",
        {"gen_ai.response.time_to_first_chunk": 1},
        {"events": [{"name": "new_token", "time": "2026-11-20T15:11:28.441949+00:00"}]},
        events=[("First Token Stream Event", {})],
    ),
    Case(
        "other events",
        {},
        {
            "events": [{"name": "cache miss", "time": "2026-11-20T15:11:28.441949+00:00", "kwargs": {"key": "k"}}],
            "is_llm": False,
        },
        events=[("cache miss", {"key": "k"})],
    ),
    Case(
        "contents in events",
        {"gen_ai.prompt": '{"a": 1}'},
        {"inputs": {"q": 1}, "outputs": {"output": "so"}, "events": [], "is_llm": True},
        events=[
            ("gen_ai.content.prompt", {"gen_ai.prompt": '{"q": 1}'}),
            ("gen_ai.content.completion", {"gen_ai.completion": "so"}),
        ],
    ),
    Case(
        "messages in events",
        {},
        {
            "inputs": {"messages": [{"role": "system", "content": "Be short"}, USER]},
            "outputs": {
                "messages": [
                    {"role": "assistant", "content": "Let me see"},
                    {"role": "tool", "content": "rainy", "tool_call_id": "c1"},
                ],
                "choices": [
                    {
                        "message": {"role": "assistant", "content": "Rain.", "tool_calls": [CALL]},
                        "finish_reason": "stop",
                    }
                ],
            },
            "events": [],
            "is_llm": True,
        },
        events=[
            ("gen_ai.system.message", {"content": "Be short", "gen_ai.system": "openai"}),
            ("gen_ai.user.message", {"role": "user", "content": "Weather in Paris?"}),
            ("gen_ai.assistant.message", {"content": "Let me see"}),
            ("gen_ai.tool.message", {"content": "rainy", "id": "c1"}),
            (
                "gen_ai.choice",
                {
                    "finish_reason": "stop",
                    "index": 0,
                    "message.content": "Rain.",
                    "message.role": "assistant",
                    "tool_calls.0.id": "c1",
                    "tool_calls.0.type": "function",
                    "tool_calls.0.function.name": "weather",
                    "tool_calls.0.function.arguments": '{"city":"Paris"}',
                },
            ),
        ],
    ),
    Case(
        "whole messages in events",
        {},
        {
            "inputs": {"messages": [USER]},
            "outputs": {"choices": [{"message": {"role": "assistant", "content": "Rain."}, "finish_reason": "stop"}]},
        },
        events=[
            ("gen_ai.user.message", {"gen_ai.event.content": json.dumps(USER)}),
            (
                "gen_ai.choice",
                {
                    "gen_ai.event.content": json.dumps(
                        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Rain."}}
                    )
                },
            ),
        ],
    ),
    Case(
        "details of an inference in an event",
        {},
        {"inputs": {"messages": SHOWN_INPUT}, "outputs": {"messages": SHOWN_OUTPUT}},
        events=[
            (
                "gen_ai.client.inference.operation.details",
                {"gen_ai.input.messages": NEW_INPUT, "gen_ai.output.messages": NEW_OUTPUT},
            )
        ],
    ),
    Case(
        "exception",
        {},
        {"error": "boom\n\nStacktrace:\nTraceback\nValueError: boom", "events": []},
        events=[
            (
                "exception",
                {
                    "exception.type": "ValueError",
                    "exception.message": "boom",
                    "exception.stacktrace": "Traceback\nValueError: boom",
                },
            )
        ],
    ),
    Case(
        "exception that has its stack twice",
        {},
        {"error": "ValueError('boom')\n\nTraceback"},
        events=[
            (
                "exception",
                {
                    "exception.type": "Exception",
                    "exception.message": "ValueError('boom')\n\nTraceback",
                    "exception.stacktrace": "Exception: ValueError('boom')\n\nTraceback\n",
                },
            )
        ],
    ),
    Case(
        "exception of a type alone", {}, {"error": "KeyError"}, events=[("exception", {"exception.type": "KeyError"})]
    ),
    Case(
        "second exception is an event",
        {},
        {
            "error": "one",
            "events": [
                {
                    "name": "exception",
                    "time": "2026-11-20T15:11:28.441950+00:00",
                    "kwargs": {"exception.message": "two"},
                }
            ],
        },
        events=[("exception", {"exception.message": "one"}), ("exception", {"exception.message": "two"})],
    ),
    Case(
        "exception that was handled",
        {},
        {
            "error": None,
            "events": [
                {
                    "name": "exception",
                    "time": "2026-11-20T15:11:28.441949+00:00",
                    "kwargs": {"exception.message": "one"},
                }
            ],
        },
        events=[("exception", {"exception.message": "one"})],
        status=Status.STATUS_CODE_OK,
    ),
    Case("status alone", {}, {"error": "timed out"}, status=Status.STATUS_CODE_ERROR, message="timed out"),
    Case("status and a type", {"error.type": "429"}, {"error": "429"}, status=Status.STATUS_CODE_ERROR),
    Case("status without a word", {}, {"error": "the span's status is ERROR"}, status=Status.STATUS_CODE_ERROR),
    Case(
        "status that says more than the exception",
        {},
        {"error": "boom", "metadata:otel.status_message": "while asking"},
        events=[("exception", {"exception.message": "boom"})],
        status=Status.STATUS_CODE_ERROR,
        message="while asking",
    ),
    *(
        Case(f"part of the usage: {name}", {name: 4}, usage(**{group: {part: 4}}))
        for name, group, part in (
            ("gen_ai.usage.cache_read_input_tokens", "input_token_details", "cache_read"),
            ("gen_ai.usage.details.cache_read_tokens", "input_token_details", "cache_read"),
            ("gen_ai.usage.details.cache_read_input_tokens", "input_token_details", "cache_read"),
            ("gen_ai.usage.details.cached_tokens", "input_token_details", "cache_read"),
            ("gen_ai.usage.cache_creation_input_tokens", "input_token_details", "cache_creation"),
            ("gen_ai.usage.cache_write.input_tokens", "input_token_details", "cache_creation"),
            ("gen_ai.usage.details.cache_write_tokens", "input_token_details", "cache_creation"),
            ("gen_ai.usage.details.cache_creation_input_tokens", "input_token_details", "cache_creation"),
            ("gen_ai.usage.details.input_audio_tokens", "input_token_details", "audio"),
            ("gen_ai.usage.reasoning_tokens", "output_token_details", "reasoning"),
            ("gen_ai.usage.details.output_audio_tokens", "output_token_details", "audio"),
        )
    ),
    *(
        Case(f"cost: {name}", {name: 0.25}, usage(**{cost: 0.25}))
        for name, cost in (
            ("gen_ai.usage.input_cost", "input_cost"),
            ("gen_ai.usage.output_cost", "output_cost"),
            ("gen_ai.usage.total_cost", "total_cost"),
            ("gen_ai.usage.cost", "total_cost"),
            ("operation.cost", "total_cost"),
            ("cost_usd", "total_cost"),
        )
    ),
    Case(
        "parameters of OpenAI",
        {
            "gen_ai.openai.request.seed": 7,
            "gen_ai.openai.request.response_format": "json",
            "gen_ai.openai.request.service_tier": "flex",
        },
        {"invocation_params": {"seed": 7, "response_format": "json", "service_tier": "flex"}},
    ),
    *(
        Case(f"thread and user: {name}", {name: "x"}, {f"metadata:{key}": "x", "is_llm": False})
        for name, key in (
            ("thread_id", "thread_id"),
            ("conversation_id", "conversation_id"),
            ("enduser.id", "user_id"),
        )
    ),
    Case(
        "cached tokens that were not counted, with a total",
        {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.cache_read_input_tokens": 100, "gen_ai.usage.total_tokens": 5},
        usage(input_tokens=105, total_tokens=105, input_token_details={"cache_read": 100}),
    ),
    Case(
        "counts below zero",
        {"gen_ai.usage.input_tokens": -1, "gen_ai.usage.output_tokens": 2},
        usage(output_tokens=2, total_tokens=2),
    ),
    Case(
        "a message as text",
        {"gen_ai.prompt.0.message": "hi"},
        {"inputs": {"messages": [{"role": "user", "content": "hi"}]}},
    ),
    Case(
        "an event's message as text",
        {},
        {"inputs": {"messages": [{"role": "user", "content": "hi"}]}},
        events=[("gen_ai.user.message", {"gen_ai.event.content": "hi"})],
    ),
    Case(
        "exception with a long message that its stack does not have",
        {},
        {"error": "one\ntwo\n\nStacktrace:\nTraceback"},
        events=[("exception", {"exception.message": "one\ntwo", "exception.stacktrace": "Traceback"})],
    ),
    Case(
        "status that repeats the exception",
        {},
        {"error": "boom: it broke", "metadata:otel.status_message": None},
        events=[("exception", {"exception.message": "boom: it broke"})],
        status=Status.STATUS_CODE_ERROR,
        message="it broke",
    ),
    Case(
        "names that are no items are metadata",
        {
            "gen_ai.prompt.0.content.x": "b",
            "gen_ai.prompt.0.content": "a",
            "gen_ai.prompt.x.role": "c",
            "gen_ai.prompt.0." + ".".join("abcdefghijklmnopqrst"): "d",
            "gen_ai.prompt.1": "e",
        },
        {
            "inputs": {"messages": [{"role": "user", "content": {"x": "b"}}]},
            "metadata:gen_ai.prompt.0.content": "a",
            "metadata:gen_ai.prompt.x.role": "c",
            "metadata:gen_ai.prompt.0." + ".".join("abcdefghijklmnopqrst"): "d",
            "metadata:gen_ai.prompt.1": "e",
        },
    ),
    Case(
        "names and indices in one place",
        {"gen_ai.prompt.0.content.1": "a", "gen_ai.prompt.0.content.x": "b", "gen_ai.prompt.0.role": "user"},
        {"inputs": {"messages": [{"role": "user", "content": {"1": "a", "x": "b"}}]}},
    ),
]
