"""Anthropic's SDK under one of its instrumentations: `openinference` or `openllmetry`."""

import sys
from importlib import import_module
from typing import Any

import ganglion

from tests.exporters.llm_programs.apis import served
from tests.exporters.llm_programs.conversation import ANTHROPIC_MODEL, CITY, QUESTION, RAIN, SCHEMA, SYSTEM

INSTRUMENTATIONS = {
    "openinference": "openinference.instrumentation.anthropic",
    "openllmetry": "opentelemetry.instrumentation.anthropic",
}


def main(client: Any) -> None:
    with ganglion.trace_span("conversation"):
        tools: list[Any] = [{"name": "weather", "description": "Tell the weather.", "input_schema": SCHEMA}]
        messages: list[Any] = [{"role": "user", "content": QUESTION}]
        asked: Any = {"model": ANTHROPIC_MODEL, "max_tokens": 100, "system": SYSTEM, "tools": tools}
        first = client.messages.create(messages=messages, **asked)
        call = first.content[0]
        assert call.input == CITY
        messages += [
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": RAIN}]},
        ]
        client.messages.create(messages=messages, **asked)
    with ganglion.trace_span("stream"):
        count: Any = [{"role": "user", "content": "Count."}]
        list(client.messages.create(model=ANTHROPIC_MODEL, max_tokens=100, messages=count, stream=True))
    with ganglion.trace_span("failure"):
        refused: Any = [{"role": "user", "content": "overload"}]
        try:
            client.messages.create(model=ANTHROPIC_MODEL, max_tokens=100, messages=refused)
        except import_module("anthropic").BadRequestError:
            return
        raise AssertionError("it was not refused")


if __name__ == "__main__":
    ganglion.configure(service_name="assistant")
    import_module(INSTRUMENTATIONS[sys.argv[1]]).AnthropicInstrumentor().instrument()
    with served() as url:
        main(import_module("anthropic").Anthropic(base_url=url, api_key="none", max_retries=0))
