"""Layer generation: an answer out of the sentences that were found, written as a model writes: piece by piece."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ganglion import rag

from .models import GENERATION
from .retrieval import Found
from .store import Chunk
from .switches import Switches
from .text import content_words, count_tokens
from .timing import ms_since, now

__all__ = ["NOTHING_FOUND", "Emit", "Generated", "Generator", "Prompt", "RateLimitedError", "TokenBudgetError"]

NOTHING_FOUND = "The documents say nothing about this."
_SLOW_MS = 1000.0
_LEAST_GAIN = 0.2
"""Which share of the words still open a sentence must hold to be worth its length."""
_INSTRUCTIONS_TOKENS = 24

Emit = Callable[[str], Awaitable[None]]
"""Takes each piece of the answer as soon as it is there."""


class TokenBudgetError(ValueError):
    """The question leaves no room for a source in the model's window."""


class RateLimitedError(Exception):
    """The tenant had its share of this minute; `retry_after` in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the tenant's tokens of this minute are used up; retry after {retry_after:.0f} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that the model reads."""

    tenant: str
    question: str
    history: str
    found: Found


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer, the chunks the model had before it, and what it took."""

    text: str
    sources: Sequence[Chunk]
    input_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class _Budget:
    total: int
    query: int
    context: int
    response: int


class Generator:
    """An extractive model with a window, a price and a limit for each tenant."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: dict[str, deque[tuple[float, int]]] = {}

    async def generate(self, prompt: Prompt, switches: Switches, emit: Emit) -> Generated:
        """Write the answer through `emit` and return it whole.

        Raises:
            TokenBudgetError: question and history leave no room for a source.
            RateLimitedError: the tenant has to wait.
        """
        async with rag.layer("generation", operation="generate") as step:
            started = now()
            rag.generation_started(model=GENERATION.name, temperature=GENERATION.temperature)
            budget = _allocated(prompt, switches)
            sources = _fitting(prompt.found.chunks, budget)
            self._check_limit(prompt.tenant, switches)
            text = await self._write(prompt, sources, switches, emit)
            done = _counted(text, sources, budget)
            self._use(prompt.tenant, done.input_tokens + done.output_tokens)
            _tell(done, ms_since(started))
            step.set(sources=len(sources))
            return done

    async def _write(self, prompt: Prompt, sources: Sequence[Chunk], switches: Switches, emit: Emit) -> str:
        started = now()
        chosen = _chosen(prompt, sources) or [NOTHING_FOUND]
        for number, sentence in enumerate([*chosen, switches.invention]):
            if not sentence:
                continue
            await asyncio.sleep(switches.pause)
            if number == 0:
                rag.streaming_started(model=GENERATION.name, first_token_ms=ms_since(started))
            await emit(sentence + " ")
        return " ".join(sentence for sentence in [*chosen, switches.invention] if sentence)

    def _check_limit(self, tenant: str, switches: Switches) -> None:
        minute_ago = time.monotonic() - 60
        with self._lock:
            used = self._used.setdefault(tenant, deque())
            while used and used[0][0] < minute_ago:
                used.popleft()
            if sum(tokens for _, tokens in used) < switches.tokens_per_minute:
                return
            retry_after = used[0][0] - minute_ago if used else 60.0
        rag.rate_limit_hit(model=GENERATION.name, retry_after=retry_after)
        raise RateLimitedError(retry_after)

    def _use(self, tenant: str, tokens: int) -> None:
        with self._lock:
            self._used.setdefault(tenant, deque()).append((time.monotonic(), tokens))


def _allocated(prompt: Prompt, switches: Switches) -> _Budget:
    total = switches.window_tokens or GENERATION.window_tokens
    query = _INSTRUCTIONS_TOKENS + count_tokens(prompt.question) + count_tokens(prompt.history)
    response = min(GENERATION.answer_tokens, total // 4)
    budget = _Budget(total, query, max(0, total - query - response), response)
    rag.token_budget_allocated(
        total_tokens=budget.total,
        query_tokens=budget.query,
        context_tokens=budget.context,
        response_tokens=budget.response,
    )
    return budget


def _fitting(chunks: Sequence[Chunk], budget: _Budget) -> list[Chunk]:
    room = budget.context
    fitting: list[Chunk] = []
    for chunk in chunks:
        if chunk.tokens <= room:
            fitting.append(chunk)
            room -= chunk.tokens
    if chunks and not fitting:
        least = min(chunk.tokens for chunk in chunks)
        raise TokenBudgetError(
            f"of {budget.total} tokens the question takes {budget.query} and the answer {budget.response}: "
            f"{budget.context} are left for sources, the shortest has {least}"
        )
    return fitting


def _chosen(prompt: Prompt, sources: Sequence[Chunk]) -> list[str]:
    """Return the sentences that together cover most of the question's words, in the order of the sources."""
    index = prompt.found.index
    wanted = set(content_words(prompt.question))
    candidates = [(line, set(content_words(line))) for chunk in sources for line in chunk.text.splitlines()]
    candidates = [(line, held) for line, held in candidates if len(held) >= 4]
    chosen: list[str] = []
    while wanted and candidates and len(chosen) < GENERATION.answer_sentences:
        line, held = max(candidates, key=lambda pair: index.covered(wanted, pair[1]) / (1 + len(pair[1]) / 50))
        if index.covered(wanted, held) < _LEAST_GAIN:
            break
        chosen.append(line if line.endswith((".", "!", "?")) else f"{line.rstrip(':;')}.")
        wanted -= held
        candidates.remove((line, held))
    return chosen


def _counted(text: str, sources: Sequence[Chunk], budget: _Budget) -> Generated:
    read = budget.query + sum(chunk.tokens for chunk in sources)
    written = count_tokens(text)
    return Generated(text, sources, read, written, GENERATION.cost_usd(read, written))


def _tell(done: Generated, duration_ms: float) -> None:
    rag.generation_complete(
        model=GENERATION.name,
        input_tokens=done.input_tokens,
        output_tokens=done.output_tokens,
        cost_usd=done.cost_usd,
        duration_ms=duration_ms,
    )
    if duration_ms > _SLOW_MS:
        rag.slow_generation(model=GENERATION.name, duration_ms=duration_ms, threshold_ms=_SLOW_MS)
