"""A week of a RAG application with three services, as its pages should tell of it: what happened is planted here.

- two days ago answers became worse: `faithfulness` falls from about 0.92 to 0.62
- 24 minutes ago rag-service 1.3.0 went out; from then on the gateway calls another model, which is slow and often
  refuses tenant acme's calls
- chunks of 1024 cost time
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.query.telemetry import ERROR, INFO, Sent, attributes, log, span

__all__ = ["FAILED", "HOSTILE", "LARGE", "MARKUP", "QUESTION", "SLOW", "WEB", "hostile", "large", "week"]

WEB, RAG, GATEWAY = "web-shop", "rag-service", "model-gateway"
SLOW, FAILED = "51030000000000000000000000000001", "fa170000000000000000000000000002"
HOSTILE, LARGE = "bad00000000000000000000000000003", "1a26e000000000000000000000000004"
QUESTION = "How do I return a lamp that arrived broken?"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"

_WARNING = 13
_TENANTS = {"ada": "acme", "grace": "acme", "edsger": "acme", "barbara": "globex", "alan": "globex"}
_USERS, _SHARES = tuple(_TENANTS), (8, 4, 2, 3, 1)
_REFUSED = "RateLimitError: the tenant's tokens of this minute are used up"
_STACK = (
    'Traceback (most recent call last):\n  File "gateway/calls.py", line 88, in complete\n    raise RateLimitError()'
)
_OLD, _NEW = "gpt-4o-mini", "gpt-4.1-mini"
_DEPLOYED = timedelta(minutes=24)
_WORSE = timedelta(days=2)

Value = str | int | float


@dataclass(frozen=True, slots=True)
class _Answer:
    """One question: who asked, and what came of it."""

    at: datetime
    trace_id: str
    user: str
    chunk_size: int
    model: str
    version: str
    model_ms: float
    search_ms: float
    score: float
    relevancy: float = 0.86
    error: str = ""
    question: str = QUESTION
    number: int = 0

    @property
    def who(self) -> dict[str, Value]:
        tenant = _TENANTS.get(self.user, "acme")
        return {
            "user.id": self.user,
            "tenant.id": tenant,
            "session.id": f"{self.user}-{self.number % 7}",
            "request.id": f"req-{self.number:05}",
        }


@dataclass
class _Told:
    """What all services send, by who sends it: service, version and logger."""

    sent: dict[tuple[str, str, str], Sent] = field(default_factory=dict[tuple[str, str, str], Sent])

    def by(self, service: str, version: str = "1.2.0", logger: str = "") -> Sent:
        return self.sent.setdefault((service, version, logger), Sent(service, version=version, logger=logger))


def week(now: datetime | None = None) -> list[Sent]:
    """Return what was sent in the seven days before `now`; the last hour is the busiest."""
    now = now or datetime.now(UTC)
    told, source = _Told(), random.Random(6)
    for number, at in enumerate(_times(now, source)):
        _tell(told, _answer(source, number, at, now))
    slow = _Answer(now - timedelta(minutes=15), SLOW, "ada", 1024, _NEW, "1.3.0", 6_900, 560, 0.71, number=90_001)
    _tell(told, slow)
    at = now - timedelta(minutes=12)
    _tell(told, replace(slow, at=at, trace_id=FAILED, model_ms=800, error=_REFUSED, number=90_002))
    return list(told.sent.values())


def _times(now: datetime, source: random.Random) -> Iterator[datetime]:
    for hours in range(2, 7 * 24):
        for _ in range(2 if hours > 24 else 6):
            yield now - timedelta(hours=hours - source.random())
    for _ in range(240):
        yield now - timedelta(minutes=1 + 59 * source.random())


def _answer(source: random.Random, number: int, at: datetime, now: datetime) -> _Answer:
    user = source.choices(_USERS, _SHARES)[0]
    deployed, worse = now - at < _DEPLOYED, now - at < _WORSE
    chunk_size = source.choice((256, 512, 1024))
    refused = deployed and _TENANTS[user] == "acme" and source.random() < 0.4
    return _Answer(
        at,
        f"{source.getrandbits(128) | 1:032x}",
        user,
        chunk_size,
        _NEW if deployed else _OLD,
        "1.3.0" if deployed else "1.2.0",
        source.lognormvariate(0, 0.4) * (2_600 if deployed else 420),
        source.lognormvariate(0, 0.3) * chunk_size / 2,
        min(1, max(0, source.gauss(0.62 if worse else 0.92, 0.06))),
        min(1, source.gauss(0.86, 0.04)),
        _REFUSED if refused else "",
        number=number,
    )


def _span(
    told: Sent, answer: _Answer, name: str, ids: tuple[int, int], when: tuple[float, float], values: Mapping[str, Value]
) -> Span:
    """Add a span; `ids` its own and its parent's, `when` its beginning after the answer's and its length, in ms."""
    at = answer.at + timedelta(milliseconds=when[0])
    found = span(name, ids[0], ids[1], at=at, ms=when[1], trace_id=answer.trace_id)
    found.attributes.extend(attributes({**answer.who, **values}))
    found.kind = Span.SPAN_KIND_INTERNAL
    told.spans.append(found)
    return found


def _log(
    told: Sent,
    answer: _Answer,
    message: str,
    place: tuple[int, float],
    values: Mapping[str, Value],
    severity: int = INFO,
) -> LogRecord:
    """Add a log; `place` is its span and how many ms after the answer's beginning."""
    at = answer.at + timedelta(milliseconds=place[1])
    found = log(message, place[0], at=at, severity=severity, trace_id=answer.trace_id)
    found.attributes.extend(attributes({**answer.who, **values}))
    told.logs.append(found)
    return found


def _tell(told: _Told, answer: _Answer) -> None:
    """Tell the whole request: web-shop asks rag-service, which searches, and asks model-gateway."""
    found, called = 24 + answer.search_ms, answer.model_ms + 20
    total = found + called + (0 if answer.error else 48)
    first = _span(told.by(WEB), answer, "POST /help", (1, 0), (0, total + 14), {"http.route": "/help"})
    first.kind = Span.SPAN_KIND_SERVER
    rag = told.by(RAG, answer.version)
    asked = _span(rag, answer, "POST /ask", (2, 1), (6, total), {"http.route": "/ask", "http.request.method": "POST"})
    asked.kind = Span.SPAN_KIND_SERVER
    _log(rag, answer, "http_request_received", (2, 6.5), {"path": "/ask"})
    _search(told, answer)
    _generate(told, answer, found + 8)
    if answer.error:
        for failed, status in ((asked, 503), (first, 502)):
            failed.status.code = failed.status.STATUS_CODE_ERROR
            failed.attributes.extend(attributes({"http.response.status_code": status}))
        return
    _evaluate(told, answer, found + called + 8)
    sent: dict[str, Value] = {"http.response.status_code": 200, "duration_ms": round(total, 3)}
    _log(rag, answer, "http_response_sent", (2, total + 5), sent)


def _layer(layer: str, operation: str, **values: Value) -> dict[str, Value]:
    return {"rag.layer": layer, "rag.operation": operation, **values}


def _search(told: _Told, answer: _Answer) -> None:
    rag, size = told.by(RAG, answer.version), {"chunk_size": answer.chunk_size}
    memory = told.by(RAG, answer.version, "rag.memory")
    _span(rag, answer, "memory.history", (3, 2), (8, 9), _layer("memory", "history"))
    _log(memory, answer, "history_retrieved", (3, 16), {"turns": 3, "tokens": 412})
    search, store = answer.search_ms, {"db.system.name": "pgvector"}
    _span(rag, answer, "retrieval.search", (4, 2), (18, search), {**_layer("retrieval", "search"), **size})
    _span(rag, answer, "data.query", (5, 4), (19, search * 0.6), {**_layer("data", "query"), **store})
    _span(rag, answer, "retrieval.rerank", (6, 4), (20 + search * 0.6, search * 0.3), _layer("retrieval", "rerank"))
    retrieval = told.by(RAG, answer.version, "rag.retrieval")
    _log(retrieval, answer, "search_query_received", (4, 18.5), {"length": len(answer.question), **size})
    _log(retrieval, answer, "chunks_retrieved", (4, 17 + search), {"count": 6, "relevance": 0.83})


def _generate(told: _Told, answer: _Answer, begins: float) -> None:
    rag, gateway = told.by(RAG, answer.version), told.by(GATEWAY, "4.0.1")
    generation = told.by(RAG, answer.version, "rag.generation")
    length = answer.model_ms + 12
    step = _span(rag, answer, "generation.generate", (7, 2), (begins, length), _layer("generation", "generate"))
    _log(generation, answer, "generation_started", (7, begins + 1), {"model": answer.model, "temperature": 0.2})
    call = _span(gateway, answer, f"chat {answer.model}", (8, 7), (begins + 4, answer.model_ms), _call(answer))
    call.kind = Span.SPAN_KIND_SERVER
    remote = _span(
        gateway, answer, "POST", (9, 8), (begins + 9, answer.model_ms - 8), {"server.address": "api.example"}
    )
    remote.kind = Span.SPAN_KIND_CLIENT
    ends = begins + 3 + answer.model_ms
    if not answer.error:
        tokens: dict[str, Value] = {"input_tokens": 1840, "output_tokens": 236, "duration_ms": round(length, 3)}
        _log(generation, answer, "generation_complete", (7, ends), {"model": answer.model, **tokens})
        if answer.model_ms > 4000:
            slow: dict[str, Value] = {"duration_ms": round(length, 3), "threshold_ms": 4000}
            _log(generation, answer, "slow_generation", (7, ends + 0.5), slow, _WARNING)
        return
    for failed in (call, step):
        failed.status.code, failed.status.message = failed.status.STATUS_CODE_ERROR, answer.error
    kind, _, message = answer.error.partition(": ")
    why: dict[str, Value] = {"exception.type": kind, "exception.message": message, "exception.stacktrace": _STACK}
    _log(gateway, answer, "completion_refused", (8, ends - 2), why, ERROR)
    _log(generation, answer, "generation.generate_failed", (7, ends), why, ERROR)


def _call(answer: _Answer) -> dict[str, Value]:
    prompt = "Answer by the sources alone.\n\n[1] Returns are free for 30 days.\n[2] Take a photo of what is broken."
    asked = [
        {"role": "system", "parts": [{"type": "text", "content": prompt}]},
        {"role": "user", "parts": [{"type": "text", "content": answer.question}]},
    ]
    said = [{"role": "assistant", "parts": [{"type": "text", "content": "Send us a photo; the return is free."}]}]
    values: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": answer.model,
        "gen_ai.input.messages": json.dumps(asked),
    }
    if answer.error:
        return values
    return values | {
        "gen_ai.response.model": answer.model,
        "gen_ai.usage.input_tokens": 1840,
        "gen_ai.usage.output_tokens": 236,
        "gen_ai.output.messages": json.dumps(said),
    }


def _evaluate(told: _Told, answer: _Answer, begins: float) -> None:
    rag, evaluation = told.by(RAG, answer.version), told.by(RAG, answer.version, "rag.evaluation")
    _span(rag, answer, "evaluation.evaluate", (10, 2), (begins, 38), _layer("evaluation", "evaluate"))
    scores: dict[str, Value] = {"faithfulness": round(answer.score, 3), "answer_relevancy": round(answer.relevancy, 3)}
    _log(evaluation, answer, "ragas_score_computed", (10, begins + 30), scores)
    tier = "good" if answer.score >= 0.7 else "fair"
    _log(evaluation, answer, "quality_tier_assigned", (10, begins + 36), {"tier": tier, "score": answer.score})


def hostile(now: datetime | None = None) -> list[Sent]:
    """Return one trace that would be markup, script or an address of script wherever it were taken for that."""
    at = (now or datetime.now(UTC)) - timedelta(minutes=5)
    values = {
        "user.id": MARKUP,
        "url.full": "javascript:alert(3)",
        "code": "</script><script>alert(4)</script>",
        MARKUP: "a name of an attribute",
        "rag.layer": MARKUP,
        "gen_ai.request.model": MARKUP,
        "gen_ai.input.messages": json.dumps([{"role": MARKUP, "parts": [{"type": "text", "content": MARKUP}]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": MARKUP}]}]),
    }
    sent = Sent(f"svc{MARKUP}", version=MARKUP, logger=MARKUP)
    failed = span(MARKUP, 1, at=at, ms=30, error=MARKUP, trace_id=HOSTILE)
    failed.attributes.extend(attributes(values))
    sent.spans.append(failed)
    told = log(f"message {MARKUP} \x1b[31m javascript:alert(5)", 1, at=at, severity=ERROR, trace_id=HOSTILE)
    told.attributes.extend(attributes({**values, "exception.type": MARKUP, "exception.message": MARKUP}))
    sent.logs.append(told)
    return [sent]


def large(now: datetime | None = None, spans: int = 10_000) -> list[Sent]:
    """Return one trace of so many spans: an import of files, each in many chunks."""
    at = (now or datetime.now(UTC)) - timedelta(minutes=50)
    sent = Sent("importer")
    each = 40_000 / spans
    sent.spans.append(span("import", 1, at=at, ms=41_000, trace_id=LARGE))
    file = 1
    for number in range(2, spans + 1):
        begins = at + timedelta(milliseconds=each * number)
        if number % 100 == 2:
            file = number
            sent.spans.append(span(f"file {number // 100}", file, 1, at=begins, ms=each * 100, trace_id=LARGE))
        else:
            sent.spans.append(span("chunk.embed", number, file, at=begins, ms=each * 0.9, trace_id=LARGE))
    return [sent]
