"""Requests to a RAG service as examples/rag_service tells them: spans of its layers, their events, costs, scores."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.query.telemetry import ERROR, Sent, attributes, log, span, store

__all__ = ["NOW", "Asked", "asked", "keep", "minutes_ago", "sent", "trace_id"]

NOW = datetime.now(UTC).replace(microsecond=0)


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def trace_id(number: int) -> str:
    return f"{number + 1:032x}"


def keep(dsn: str, *requests: "Asked", more: Sequence[Sent] = ()) -> None:
    """Store these requests and what else was sent."""
    asyncio.run(store(dsn, *sent(requests), *more))


@dataclass
class Asked:
    """One question; `ms` is how long it took, `error` as `Type: message` is raised by the store."""

    number: int
    at: datetime
    ms: float = 400
    operation: str = "POST /ask"
    version: str = "1.0.0"
    service: str = "rag-service"
    user: str = "ada"
    tenant: str = "acme"
    model: str = "extractive-1"
    cost: float = 0.001
    error: str = ""
    scores: dict[str, float] = field(default_factory=dict[str, float])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """On the span of the retrieval."""
    told: dict[str, Any] = field(default_factory=dict[str, Any])
    """On the log of the retrieval."""


def asked(count: int, since: datetime, until: datetime, seed: int = 1, **fixed: Any) -> list[Asked]:
    """Return questions evenly over a time; a value that can be called is made anew for each, from a `Random`."""
    random = Random(seed)
    step = (until - since) / count
    found: list[Asked] = []
    for number in range(count):
        values = {key: value(random) if isinstance(value, Callable) else value for key, value in fixed.items()}  # type: ignore[arg-type]
        values.setdefault("ms", random.lognormvariate(6, 0.2))
        found.append(Asked(seed * 100_000 + number, since + step * number, **values))
    return found


def sent(requests: Sequence[Asked]) -> list[Sent]:
    """Return what the services send of these requests, by service and version."""
    by_sender: dict[tuple[str, str], Sent] = {}
    for one in requests:
        sender = by_sender.setdefault((one.service, one.version), Sent(one.service, version=one.version))
        sender.spans += _spans(one)
        sender.logs += _logs(one)
    return list(by_sender.values())


def _spans(one: Asked) -> list[Span]:
    whose: dict[str, Any] = {"user_id": one.user, "tenant_id": one.tenant, "trace_id": trace_id(one.number)}
    error = one.error
    root = span(one.operation, 1, at=one.at, ms=one.ms, error="503" if error else "", **whose)
    search = span("retrieval.search", 2, 1, at=one.at, ms=one.ms / 4, error=error, **whose)
    query = span("data.query", 3, 2, at=one.at, ms=one.ms / 8, error=error, **whose)
    for layer, made in (("retrieval", search), ("data", query)):
        made.kind = Span.SPAN_KIND_INTERNAL
        made.attributes.extend(attributes({"rag.layer": layer}))
    search.attributes.extend(attributes(one.settings))
    if error:
        return [root, search, query]
    generate = span("generation.generate", 4, 1, at=one.at, ms=one.ms / 2, **whose)
    generate.kind = Span.SPAN_KIND_INTERNAL
    model = {"rag.layer": "generation", "gen_ai.request.model": one.model}
    tokens = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
    generate.attributes.extend(attributes({**model, **tokens}))
    return [root, search, query, generate]


def _logs(one: Asked) -> list[LogRecord]:
    whose: dict[str, Any] = {"user_id": one.user, "tenant_id": one.tenant, "trace_id": trace_id(one.number)}
    end = one.at + timedelta(milliseconds=one.ms)
    if one.error:
        kind, _, message = one.error.partition(": ")
        whose |= {"exception_type": f"rag_service.store.{kind}", "exception_message": message}
        return [log("data.query_failed", 3, at=end, severity=ERROR, **whose)]
    numbers = {key: value for key, value in one.told.items() if not isinstance(value, str)}
    texts = {key: value for key, value in one.told.items() if isinstance(value, str)}
    retrieved = log("chunks_retrieved", 2, at=one.at, numbers=numbers, **whose)
    retrieved.attributes.extend(attributes(texts))
    complete = log("generation_complete", 4, at=end, model=one.model, **whose)
    complete.attributes.extend(attributes({"cost_usd": one.cost, "total_tokens": 120}))
    found = [retrieved, complete]
    if one.scores:
        found.append(log("ragas_score_computed", 1, at=end, numbers=one.scores, **whose))
    return found
