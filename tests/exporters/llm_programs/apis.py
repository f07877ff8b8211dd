"""Local APIs that answer as OpenAI's and Anthropic's do, one conversation, over real HTTP."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.exporters.llm_programs.conversation import (
    ANSWER,
    ANTHROPIC_ANSWERS,
    ANTHROPIC_CACHE_WRITTEN,
    CACHED_TOKENS,
    CITY,
    EMBEDDING_MODEL,
    INPUT_TOKENS,
    OPENAI_ANSWERS,
    OUTPUT_TOKENS,
    REASONING_TOKENS,
    REFUSAL,
    STREAMED,
)

_OPENAI_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": REASONING_TOKENS, "audio_tokens": 0},
}
_ANTHROPIC_USAGE = {
    "input_tokens": INPUT_TOKENS - CACHED_TOKENS - ANTHROPIC_CACHE_WRITTEN,
    "cache_read_input_tokens": CACHED_TOKENS,
    "cache_creation_input_tokens": ANTHROPIC_CACHE_WRITTEN,
    "output_tokens": OUTPUT_TOKENS,
}


@contextmanager
def served() -> Iterator[str]:
    """Yield the address of both."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "overload" in json.dumps(asked):
            self._answer(400, {"error": {"type": "invalid_request_error", "message": REFUSAL, "code": "overloaded"}})
        elif self.path.endswith("/embeddings"):
            self._answer(200, _embeddings(asked))
        elif self.path.endswith("/messages"):
            self._stream(_anthropic_events()) if asked.get("stream") else self._answer(200, _message(asked))
        else:
            self._stream(_openai_events()) if asked.get("stream") else self._answer(200, _completion(asked))

    def _answer(self, status: int, body: Any) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, events: Iterator[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(f"{event}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
        """Keep quiet."""


def _completion(asked: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": ANSWER}
    calls = asked.get("tools") and asked["messages"][-1]["role"] == "user"
    if calls:
        function = {"name": "weather", "arguments": json.dumps(CITY, ensure_ascii=False)}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": OPENAI_ANSWERS,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": _OPENAI_USAGE,
    }


def _openai_events() -> Iterator[str]:
    common = {
        "id": "chatcmpl-2",
        "object": "chat.completion.chunk",
        "created": 1_795_000_000,
        "model": OPENAI_ANSWERS,
    }
    for number, text in enumerate(STREAMED):
        delta = {"content": text, "role": "assistant"} if number == 0 else {"content": text}
        yield _data({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _data({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield _data({**common, "choices": [], "usage": _OPENAI_USAGE})
    yield "data: [DONE]"


def _data(value: Any) -> str:
    return f"data: {json.dumps(value)}"


def _embeddings(asked: Any) -> dict[str, Any]:
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    return {
        "object": "list",
        "model": EMBEDDING_MODEL,
        "data": [{"object": "embedding", "index": number, "embedding": [0.25, 0.5]} for number, _ in enumerate(texts)],
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    }


def _message(asked: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "text", "text": ANSWER}
    calls = asked.get("tools") and isinstance(asked["messages"][-1]["content"], str)
    if calls:
        content = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": CITY}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": ANTHROPIC_ANSWERS,
        "content": [content],
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": _ANTHROPIC_USAGE,
    }


def _anthropic_events() -> Iterator[str]:
    start = {**_message({"messages": []}), "id": "msg_2", "content": [], "stop_reason": None}
    start["usage"] = {**_ANTHROPIC_USAGE, "output_tokens": 1}
    yield _event("message_start", {"message": start})
    yield _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
    for text in STREAMED:
        yield _event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}})
    yield _event("content_block_stop", {"index": 0})
    done = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _event("message_delta", {"delta": done, "usage": {"output_tokens": OUTPUT_TOKENS}})
    yield _event("message_stop", {})


def _event(name: str, value: dict[str, Any]) -> str:
    return f"event: {name}\n{_data({'type': name, **value})}"
