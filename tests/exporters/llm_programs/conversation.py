"""What the programs ask models and what these answer: known to the programs, the APIs and the tests."""

from typing import Any

SYSTEM = "Be brief."
QUESTION = "What is the weather in Köln? ☂"
CITY = {"city": "Köln"}
RAIN = "rain, 9 °C"
ANSWER = "It rains in Köln."
STREAMED = ["One ", "two ", "three."]
REFUSAL = "the model is overloaded"
TEXTS = ["first text", "second text"]

OPENAI_MODEL = "gpt-4o-mini"
OPENAI_ANSWERS = "gpt-4o-mini-2024-07-18"
EMBEDDING_MODEL = "text-embedding-3-small"
ANTHROPIC_MODEL = "claude-sonnet-4-5"
ANTHROPIC_ANSWERS = "claude-sonnet-4-5-20250929"

INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS, REASONING_TOKENS = 120, 64, 17, 5
ANTHROPIC_CACHE_WRITTEN = 8

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
