"""Events of generation: what was asked of a model, and what it gave, took and cost."""

import logging

from ganglion.rag._events import describe, spend, tell
from ganglion.rag._instruments import RATE_LIMITS, TOKENS, add, record
from ganglion.rag._layer import Layer, layer_name
from ganglion.rag._values import label, number

__all__ = [
    "cost_incurred",
    "generation_complete",
    "generation_started",
    "rate_limit_hit",
    "slow_generation",
    "streaming_started",
    "token_budget_allocated",
]

_LAYER = "generation"


def generation_started(*, model: str, temperature: float | None = None) -> None:
    """Tell `generation_started`; the current span gets `gen_ai.request.model` and `gen_ai.request.temperature`."""
    describe({"gen_ai.request.model": model, "gen_ai.request.temperature": temperature})
    tell(_LAYER, "generation_started", {"model": model, "temperature": temperature})


def token_budget_allocated(*, total_tokens: int, query_tokens: int, context_tokens: int, response_tokens: int) -> None:
    """Tell `token_budget_allocated`: how the window of `total_tokens` is shared out.

    The current span gets `gen_ai.request.max_tokens`, which is what the response may take.
    """
    describe({"gen_ai.request.max_tokens": response_tokens})
    fields = {
        "total_tokens": total_tokens,
        "query_tokens": query_tokens,
        "context_tokens": context_tokens,
        "response_tokens": response_tokens,
    }
    tell(_LAYER, "token_budget_allocated", fields)


def streaming_started(*, model: str, first_token_ms: float | None = None) -> None:
    """Tell `streaming_started` when the first token is there, `first_token_ms` after the request.

    The current span gets `gen_ai.request.stream` and `gen_ai.response.time_to_first_chunk` (seconds).
    """
    first = number(first_token_ms)
    seconds = None if first is None else first / 1000
    describe({"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": seconds})
    tell(_LAYER, "streaming_started", {"model": model, "first_token_ms": first_token_ms})


def generation_complete(
    *,
    model: str,
    input_tokens: int,
    output_tokens: int,
    cost_usd: float | None = None,
    duration_ms: float | None = None,
) -> None:
    """Tell `generation_complete`: tokens read and written, and what they cost.

    Records `rag_token_usage{model}` (input and output together) and, where a cost is given,
    `rag_cost_usd_total{layer,model}`. The current span gets `gen_ai.response.model`, `gen_ai.usage.input_tokens` and
    `gen_ai.usage.output_tokens`.
    """
    describe(
        {
            "gen_ai.response.model": model,
            "gen_ai.usage.input_tokens": input_tokens,
            "gen_ai.usage.output_tokens": output_tokens,
        }
    )
    total = (number(input_tokens) or 0) + (number(output_tokens) or 0)
    record(TOKENS, total, {"model": label("model", model)})
    spend(_LAYER, cost_usd, model)
    fields = {
        "model": model,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": total,
        "cost_usd": cost_usd,
        "duration_ms": duration_ms,
    }
    tell(_LAYER, "generation_complete", fields)


def rate_limit_hit(*, model: str, retry_after: float | None = None) -> None:
    """Tell `rate_limit_hit` at WARNING: `retry_after` in seconds; counts `rag_rate_limit_hits_total{model}`."""
    add(RATE_LIMITS, 1, {"model": label("model", model)})
    tell(_LAYER, "rate_limit_hit", {"model": model, "retry_after": retry_after}, level=logging.WARNING)


def slow_generation(*, model: str, duration_ms: float, threshold_ms: float) -> None:
    """Tell `slow_generation` at WARNING: it took `duration_ms`, more than `threshold_ms`."""
    fields = {"model": model, "duration_ms": duration_ms, "threshold_ms": threshold_ms}
    tell(_LAYER, "slow_generation", fields, level=logging.WARNING)


def cost_incurred(*, layer: Layer, cost_usd: float, model: str | None = None) -> None:
    """Tell `cost_incurred`: money that no other event carries, as of a reranker; adds to `rag_cost_usd_total`.

    Raises:
        ValueError: there is no such layer.
    """
    spend(layer_name(layer), cost_usd, model)
    tell(layer, "cost_incurred", {"cost_usd": cost_usd, "model": model})
