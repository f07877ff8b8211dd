"""OpenLLMetry (Traceloop), Logfire with Pydantic AI, and Ganglion's own layers of RAG."""

import json

from tests.exporters.langsmith_cases import Case

EVENTS = [
    {"event.name": "gen_ai.system.message", "content": "Be short", "role": "system", "gen_ai.message.index": 0},
    {"event.name": "gen_ai.user.message", "content": "hi", "role": "user", "gen_ai.message.index": 0},
    {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "Hello"}},
]

CASES = [
    *(
        Case(f"kind {kind}", {"traceloop.span.kind": kind}, {"run_type": run_type, "is_llm": True})
        for kind, run_type in {
            "tool": "tool",
            "workflow": "chain",
            "task": "chain",
            "agent": "chain",
            "chain": "chain",
            "llm": "llm",
            "retriever": "retriever",
            "embedding": "embedding",
            "unknown": "chain",
            "else": "chain",
        }.items()
    ),
    *(
        Case(f"{name} {kind}", {name: kind}, {"run_type": run_type})
        for name in ("llm.request.type", "traceloop.llm.request.type")
        for kind, run_type in {"embedding": "embedding", "chat": "llm", "completion": "llm", "rare": "llm"}.items()
    ),
    Case(
        "operation before request before framework",
        {
            "traceloop.span.kind": "workflow",
            "openinference.span.kind": "TOOL",
            "llm.request.type": "embedding",
            "gen_ai.operation.name": "chat",
        },
        {"run_type": "llm"},
    ),
    Case(
        "request before framework",
        {"openinference.span.kind": "TOOL", "llm.request.type": "embedding"},
        {"run_type": "embedding"},
    ),
    Case(
        "OpenInference before Traceloop",
        {"openinference.span.kind": "TOOL", "traceloop.span.kind": "workflow"},
        {"run_type": "tool"},
    ),
    Case(
        "entity",
        {
            "traceloop.entity.name": "plan",
            "traceloop.entity.input": '{"inputs": {"q": 1}}',
            "traceloop.entity.output": '{"outputs": 2}',
            "traceloop.entity.path": "a.b",
        },
        {
            "name": "plan",
            "inputs": {"inputs": {"q": 1}},
            "outputs": {"outputs": 2},
            "metadata:traceloop.entity.path": "a.b",
        },
    ),
    Case(
        "entity as text",
        {"traceloop.entity.input": "why?", "traceloop.entity.output": "so"},
        {"inputs": {"input": "why?"}, "outputs": {"output": "so"}},
    ),
    Case("names in their order", {"langsmith.trace.name": "a", "traceloop.entity.name": "b"}, {"name": "a"}),
    Case(
        "association",
        {"traceloop.association.properties.user_id": "u", "traceloop.association.properties.session_id": "s"},
        {"metadata:user_id": "u", "metadata:session_id": "s"},
    ),
    Case(
        "call",
        {
            "llm.request.type": "chat",
            "gen_ai.system": "Anthropic",
            "gen_ai.request.model": "claude",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": '[{"type": "text", "text": "hi"}]',
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.tool_calls.0.id": "c1",
            "gen_ai.completion.0.tool_calls.0.name": "f",
            "gen_ai.completion.0.tool_calls.0.arguments": "{}",
            "llm.request.functions.0.name": "f",
            "llm.request.functions.0.parameters": '{"type": "object"}',
            "llm.usage.total_tokens": 18,
            "gen_ai.usage.cache_creation_input_tokens": 0,
            "llm.headers": "secret",
            "llm.is_streaming": False,
            "llm.user": "u",
        },
        {
            "inputs": {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
            "outputs:messages": [
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                }
            ],
            "invocation_params": {
                "functions": [{"name": "f", "parameters": '{"type": "object"}'}],
                "stream": False,
                "model": "claude",
            },
            "metadata:usage_metadata": {"total_tokens": 18, "input_token_details": {"cache_creation": 0}},
            "metadata:ls_provider": "anthropic",
            "metadata:llm.headers": None,
            "metadata:user_id": "u",
        },
    ),
    Case(
        "MCP",
        {"mcp.request.argument": '{"q": 1}', "mcp.response.value": "done", "traceloop.span.kind": "tool"},
        {"inputs": {"q": 1}, "outputs": {"output": "done"}},
    ),
    Case(
        "Logfire's prompt and messages",
        {"prompt": "hi", "all_messages_events": json.dumps(EVENTS)},
        {
            "inputs": {"input": "hi"},
            "is_llm": True,
            "outputs": {
                "messages": [
                    {"role": "system", "content": "Be short"},
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": "Hello", "index": 0},
                ]
            },
        },
    ),
    Case(
        "Logfire's events",
        {"events": json.dumps(EVENTS), "gen_ai.operation.name": "chat", "logfire.json_schema": "{}"},
        {
            "inputs": {"messages": [{"role": "system", "content": "Be short"}, {"role": "user", "content": "hi"}]},
            "outputs": {"messages": [{"role": "assistant", "content": "Hello", "index": 0}]},
            "metadata:events": None,
            "metadata:logfire.json_schema": None,
        },
    ),
    Case(
        "Pydantic AI's messages and result",
        {
            "pydantic_ai.all_messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
            "final_result": "Hello",
        },
        {"outputs": {"messages": [{"role": "user", "content": "hi"}]}, "metadata:final_result": "Hello"},
    ),
    Case("result alone", {"final_result": "Hello"}, {"outputs": {"output": "Hello"}, "metadata:final_result": None}),
    Case(
        "a tool's arguments",
        {"tools": '[{"name": "f"}]', "tool_arguments": '{"q": 1}', "tool_response": "done"},
        {
            "invocation_params": {"tools": [{"name": "f"}], "tool_arguments": {"q": 1}},
            "inputs": {"q": 1},
            "outputs": {"output": "done"},
        },
    ),
    Case(
        "names that mean something else",
        {"events": 7, "model": "T", "prompt": ""},
        {"is_llm": False, "metadata:events": 7, "metadata:model": "T"},
    ),
    Case(
        "generation",
        {"rag.layer": "generation", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 1},
        {"run_type": "llm", "metadata:rag.layer": "generation", "metadata:ls_model_name": "m", "is_llm": True},
    ),
    Case("retrieval", {"rag.layer": "retrieval"}, {"run_type": "retriever"}),
    Case("evaluation", {"rag.layer": "evaluation"}, {"run_type": "chain"}),
    Case(
        "OpenLLMetry's parameters",
        {
            "llm.chat.stop_sequences": ["END"],
            "llm.top_k": 3,
            "gen_ai.is_streaming": True,
            "llm.request.repetition_penalty": 1.5,
            "llm.request.functions": '[{"name": "f"}]',
            "llm.usage.reasoning_tokens": 2,
        },
        {
            "invocation_params": {
                "stop": ["END"],
                "top_k": 3,
                "stream": True,
                "repetition_penalty": 1.5,
                "functions": [{"name": "f"}],
            },
            "metadata:usage_metadata": {"output_token_details": {"reasoning": 2}},
        },
    ),
]
