"""OpenAI's SDK under one of its instrumentations: `openinference`, `openllmetry` or `opentelemetry`."""

import json
import sys
from importlib import import_module
from typing import Any

import ganglion

from tests.exporters.llm_programs.apis import served
from tests.exporters.llm_programs.conversation import (
    CITY,
    EMBEDDING_MODEL,
    OPENAI_MODEL,
    QUESTION,
    RAIN,
    SCHEMA,
    SYSTEM,
    TEXTS,
)

INSTRUMENTATIONS = {
    "openinference": "openinference.instrumentation.openai",
    "openllmetry": "opentelemetry.instrumentation.openai",
    "opentelemetry": "opentelemetry.instrumentation.openai_v2",
}


def main(client: Any) -> None:
    with ganglion.trace_span("conversation"):
        tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
        messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
        asked: Any = {"model": OPENAI_MODEL, "temperature": 0.5, "max_tokens": 100, "tools": tools}
        first = client.chat.completions.create(messages=messages, **asked)
        call = first.choices[0].message.tool_calls[0]
        assert json.loads(call.function.arguments) == CITY
        messages += [
            first.choices[0].message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": RAIN},
        ]
        client.chat.completions.create(messages=messages, **asked)
    with ganglion.trace_span("stream"):
        options: Any = {"stream": True, "stream_options": {"include_usage": True}}
        count: list[Any] = [{"role": "user", "content": "Count."}]
        list(client.chat.completions.create(model=OPENAI_MODEL, messages=count, **options))
    with ganglion.trace_span("embedding"):
        client.embeddings.create(model=EMBEDDING_MODEL, input=TEXTS)
    with ganglion.trace_span("failure"):
        try:
            client.chat.completions.create(model=OPENAI_MODEL, messages=[{"role": "user", "content": "overload"}])
        except import_module("openai").BadRequestError:
            return
        raise AssertionError("it was not refused")


if __name__ == "__main__":
    ganglion.configure(service_name="assistant")
    import_module(INSTRUMENTATIONS[sys.argv[1]]).OpenAIInstrumentor().instrument()
    with served() as url:
        main(import_module("openai").OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0))
