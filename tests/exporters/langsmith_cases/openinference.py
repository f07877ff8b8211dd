"""OpenInference."""

from tests.exporters.langsmith_cases import Case

DOCUMENTS = {
    "documents": [
        {"page_content": "a cat", "type": "Document", "metadata": {"author": "x", "id": "d1", "score": 0.5}},
        {"page_content": "a dog", "type": "Document", "metadata": {"n": 1}},
    ]
}

CASES = [
    *(
        Case(f"kind {kind}", {"openinference.span.kind": kind}, {"run_type": run_type, "is_llm": True})
        for kind, run_type in {
            "LLM": "llm",
            "EMBEDDING": "embedding",
            "CHAIN": "chain",
            "RETRIEVER": "retriever",
            "RERANKER": "retriever",
            "TOOL": "tool",
            "AGENT": "chain",
            "GUARDRAIL": "chain",
            "EVALUATOR": "chain",
            "PROMPT": "prompt",
            "llm": "llm",
            "SOMETHING": "chain",
        }.items()
    ),
    Case(
        "system and model",
        {"llm.system": "anthropic", "llm.provider": "aws", "llm.model_name": "claude"},
        {"metadata:ls_provider": "anthropic", "metadata:ls_model_name": "claude", "invocation_params:model": "claude"},
    ),
    Case("provider", {"llm.provider": "azure"}, {"metadata:ls_provider": "azure"}),
    Case("model of an embedding", {"embedding.model_name": "ada"}, {"metadata:ls_model_name": "ada"}),
    Case("a tool's name", {"openinference.span.kind": "TOOL", "tool.name": "weather"}, {"name": "weather"}),
    Case("name of a tool elsewhere", {"openinference.span.kind": "LLM", "tool.name": "weather"}, {"name": "a span"}),
    Case("values", {"input.value": '{"q": 1}', "output.value": '{"a": 2}'}, {"inputs": {"q": 1}, "outputs": {"a": 2}}),
    Case(
        "values as text",
        {"input.value": "why?", "output.value": "so"},
        {"inputs": {"input": "why?"}, "outputs": {"text": "so"}},
    ),
    Case(
        "messages",
        {
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "hi",
            "llm.input_messages.1.message.role": "tool",
            "llm.input_messages.1.message.content": "rainy",
            "llm.input_messages.1.message.tool_call_id": "c1",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c2",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"city": "Paris"}',
            "input.value": "not this",
            "output.value": "nor this",
        },
        {
            "inputs": {
                "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "tool", "content": "rainy", "tool_call_id": "c1"},
                ]
            },
            "outputs": {
                "messages": [
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {
                                "id": "c2",
                                "type": "function",
                                "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
                            }
                        ],
                    }
                ]
            },
            "metadata:input.value": None,
        },
    ),
    Case(
        "messages with contents",
        {
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.contents.0.message_content.type": "text",
            "llm.input_messages.0.message.contents.0.message_content.text": "see",
            "llm.input_messages.0.message.contents.1.message_content.type": "image",
            "llm.input_messages.0.message.contents.1.message_content.image.image.url": "https://x/a.png",
        },
        {
            "inputs": {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "see"}, {"type": "image", "url": "https://x/a.png"}],
                    }
                ]
            }
        },
    ),
    Case(
        "old call of a function",
        {
            "llm.output_messages.0.message.function_call_name": "f",
            "llm.output_messages.0.message.function_call_arguments_json": "{}",
        },
        {
            "outputs": {
                "messages": [
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"id": None, "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                    }
                ]
            }
        },
    ),
    Case(
        "messages in one attribute",
        {"llm.input_messages": '[{"message.role": "user"}, {"role": "user", "content": "hi"}]'},
        {
            "inputs:messages": [
                {"role": "user", "content": None, "message.role": "user"},
                {"role": "user", "content": "hi"},
            ]
        },
    ),
    Case(
        "prompts of a completion",
        {"llm.prompts.0.prompt.text": "Once", "llm.choices.0.completion.text": "upon"},
        {"inputs": {"prompts": ["Once"]}, "outputs": {"choices": [{"completion": {"text": "upon"}}]}},
    ),
    Case(
        "tokens",
        {
            "llm.token_count.prompt": 11,
            "llm.token_count.completion": 7,
            "llm.token_count.total": 18,
            "llm.token_count.prompt_details.cache_read": 3,
            "llm.token_count.prompt_details.cache_write": 2,
            "llm.token_count.prompt_details.audio": 1,
            "llm.token_count.completion_details.reasoning": 4,
            "llm.token_count.completion_details.audio": 5,
        },
        {
            "metadata:usage_metadata": {
                "input_tokens": 11,
                "output_tokens": 7,
                "total_tokens": 18,
                "input_token_details": {"cache_read": 3, "cache_creation": 2, "audio": 1},
                "output_token_details": {"reasoning": 4, "audio": 5},
            }
        },
    ),
    Case(
        "costs",
        {
            "openinference.span.kind": "LLM",
            "llm.token_count.prompt": 1,
            "llm.cost.prompt": 0.1,
            "llm.cost.completion": 0.2,
            "llm.cost.total": 0.3,
            "llm.cost.prompt_details.cache_read": 0.05,
        },
        {
            "metadata:usage_metadata": {
                "input_tokens": 1,
                "total_tokens": 1,
                "input_cost": 0.1,
                "output_cost": 0.2,
                "total_cost": 0.3,
                "input_cost_details": {"cache_read": 0.05},
            }
        },
    ),
    Case(
        "parameters",
        {
            "llm.invocation_parameters": '{"temperature": 0.1, "stop": null}',
            "llm.presence_penalty": 0.5,
            "llm.frequency_penalty": 0.6,
        },
        {"invocation_params": {"temperature": 0.1, "stop": None, "presence_penalty": 0.5, "frequency_penalty": 0.6}},
    ),
    Case(
        "tools",
        {"llm.tools.0.tool.json_schema": '{"type": "function"}', "llm.tools.1.tool.name": "b"},
        {"invocation_params:tools": [{"type": "function"}, {"name": "b"}]},
    ),
    Case(
        "a template is a prompt",
        {
            "llm.prompt_template.variables": '{"city": "Paris"}',
            "input.value": "Weather in {city}?",
            "llm.prompt_template.template": "Weather in {city}?",
        },
        {
            "run_type": "prompt",
            "inputs": {"input": "Weather in {city}?", "city": "Paris"},
            "metadata:llm.prompt_template.template": "Weather in {city}?",
        },
    ),
    Case(
        "a call with a template is a call",
        {"openinference.span.kind": "LLM", "llm.prompt_template.variables": '{"city": "Paris"}', "input.value": "hi"},
        {"run_type": "llm", "inputs": {"input": "hi"}, "metadata:llm.prompt_template.variables": {"city": "Paris"}},
    ),
    Case(
        "retrieved documents",
        {
            "openinference.span.kind": "RETRIEVER",
            "input.value": "cats",
            "output.value": "not this",
            "retrieval.documents.0.document.content": "a cat",
            "retrieval.documents.0.document.id": "d1",
            "retrieval.documents.0.document.score": 0.5,
            "retrieval.documents.0.document.metadata": "{'author': 'x'}",
            "retrieval.documents.1.document.content": "a dog",
            "retrieval.documents.1.document.metadata": '{"n": 1}',
        },
        {"inputs": {"query": "cats"}, "outputs": DOCUMENTS},
    ),
    Case(
        "reranked documents",
        {
            "openinference.span.kind": "RERANKER",
            "reranker.query": "cats",
            "reranker.model_name": "m",
            "reranker.top_k": 1,
            "reranker.input_documents.0.document.content": "a dog",
            "reranker.output_documents.0.document.content": "a cat",
        },
        {
            "inputs": {"query": "cats", "documents": [{"page_content": "a dog", "type": "Document", "metadata": {}}]},
            "outputs": {"documents": [{"page_content": "a cat", "type": "Document", "metadata": {}}]},
            "metadata:ls_model_name": "m",
            "invocation_params:top_k": 1,
        },
    ),
    Case(
        "embeddings",
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.embeddings.0.embedding.text": "hi",
            "embedding.embeddings.0.embedding.vector": [0.5, 1.0],
        },
        {"inputs": {"input": ["hi"]}, "outputs": {"embeddings": [[0.5, 1.0]]}},
    ),
    Case(
        "who",
        {"session.id": "s", "user.id": "u", "tag.tags": ["a", "b"], "metadata": '{"plan": "free"}'},
        {"metadata:session_id": "s", "metadata:user_id": "u", "tags": ["a", "b"], "metadata:plan": "free"},
    ),
    Case("metadata as Python writes it", {"metadata": "{'plan': 'free'}"}, {"metadata:plan": "free"}),
    Case("metadata that is none", {"metadata": "free"}, {"metadata:metadata": "free"}),
    Case(
        "graph",
        {"graph.node.id": "n1", "graph.node.parent_id": "n0"},
        {"metadata:graph.node.id": "n1", "metadata:graph.node.parent_id": "n0"},
    ),
    *(
        Case(f"part of the usage: {name}", {name: 0.25}, {"metadata:usage_metadata": {group: {part: 0.25}}})
        for name, group, part in (
            ("llm.token_count.prompt_details.cache_input", "input_token_details", "cache_read"),
            ("llm.cost.prompt_details.cache_input", "input_cost_details", "cache_read"),
            ("llm.cost.prompt_details.cache_write", "input_cost_details", "cache_creation"),
            ("llm.cost.prompt_details.audio", "input_cost_details", "audio"),
            ("llm.cost.completion_details.reasoning", "output_cost_details", "reasoning"),
            ("llm.cost.completion_details.audio", "output_cost_details", "audio"),
        )
    ),
    Case(
        "lists in one attribute",
        {
            "llm.output_messages": '[{"role": "assistant", "content": "hi"}]',
            "retrieval.documents": '[{"document.content": "x"}, "a cat"]',
        },
        {
            "outputs": {
                "documents": [
                    {"page_content": "", "type": "Document", "metadata": {"document.content": "x"}},
                    {"page_content": "a cat", "type": "Document", "metadata": {}},
                ]
            }
        },
    ),
    Case(
        "answers in one attribute",
        {"llm.output_messages": [{"role": "assistant", "content": "hi"}]},
        {"outputs": {"messages": [{"role": "assistant", "content": "hi"}]}},
    ),
    Case(
        "parameters one by one win",
        {
            "llm.invocation_parameters": '{"temperature": 0.1, "model": "gpt-4o-2024", "n": 1}',
            "gen_ai.request.temperature": 0.5,
            "llm.model_name": "gpt-4o",
        },
        {"invocation_params": {"temperature": 0.5, "model": "gpt-4o-2024", "n": 1}},
    ),
    Case(
        "an embedding with a template is an embedding",
        {"openinference.span.kind": "EMBEDDING", "llm.prompt_template.variables": '{"city": "Paris"}'},
        {"run_type": "embedding"},
    ),
    Case(
        "model of the request, model of the response",
        {"llm.request.model_name": "a", "llm.response.model_name": "b", "input.mime_type": "application/json"},
        {"metadata:ls_model_name": "a", "metadata:llm.response.model_name": "b", "metadata:input.mime_type": None},
    ),
    Case(
        "place of a call among the contents",
        {
            "llm.output_messages.0.message.contents.0.message_content.type": "text",
            "llm.output_messages.0.message.contents.0.message_content.text": "I look",
            "llm.output_messages.0.message.contents.1.message_content.type": "tool_use",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{}",
        },
        {
            "outputs": {
                "messages": [
                    {
                        "role": "assistant",
                        "content": "I look",
                        "tool_calls": [{"id": None, "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                    }
                ]
            }
        },
    ),
]
