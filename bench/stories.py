"""The requests of a RAG application over ten days: answers, uploads, failures of several causes, and what changed when.

The causes to be found: version 2.5.0 of rag-service brings worse answers and a slower search; larger chunks cost time;
for 40 minutes the vector store refuses connections.
"""

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.story import MARKS, Failure, Log, Step, Value, Values, milliseconds

__all__ = ["ERAS", "FAULTS", "KINDS", "Era", "Story", "background", "resources"]

_QUESTION, _ANSWER, _DOCUMENT = MARKS["question"], MARKS["answer"], MARKS["document"]
_SERVER, _CLIENT = 2, 3
_LOGS_A_SPAN = 10


@dataclass(frozen=True, slots=True)
class Era:
    """What is the same for some days: from which share of the time on, and the knobs that matter."""

    begins: float
    version: str
    model: str
    chunk_sizes: Sequence[int]
    faithfulness: float
    search_factor: float = 1.0


ERAS = (
    Era(0.0, "2.4.0", "gpt-4o-mini", (256, 512), 0.91),
    Era(0.3, "2.4.1", "gpt-4o-mini", (256, 512), 0.91),
    Era(0.5, "2.4.1", "gpt-4o-mini", (512, 1024), 0.92),
    Era(0.76, "2.5.0", "gpt-4.1-mini", (512, 1024), 0.76, 1.8),
)
_VERSIONS = {"retrieval": "1.9.2", "gateway": "4.0.1", "llm-proxy": "0.8.0", "ingester": "2.4.0"}
_PRICES = {"gpt-4o-mini": (0.15, 0.60), "gpt-4.1-mini": (0.40, 1.60), "text-embedding-3-small": (0.02, 0.0)}

_CHATTER: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "gateway": [
        ("gateway.limits", "DEBUG", "bucket of tenant holds {n} of {m} requests"),
        ("gateway.auth", "DEBUG", "token accepted, {n} scopes, cached for {m} s"),
        ("gateway.access", "INFO", "upstream answered in {n} ms, {m} bytes"),
    ],
    "rag-service": [
        ("httpx", "INFO", 'HTTP Request: POST http://retrieval:8002/search "HTTP/1.1 200 OK"'),
        ("rag_service.context", "DEBUG", "context holds {n} chunks, {m} tokens of 8192"),
        ("rag_service.prompt", "DEBUG", "prompt template answer-v{n} filled, {m} characters"),
        ("rag_service.session", "INFO", "session continues, turn {n}, {m} tokens so far"),
        ("rag_service.sources", "INFO", f"source {_DOCUMENT} page {{n}} cited with relevance 0.{{m}}"),
    ],
    "retrieval": [
        ("retrieval.index", "DEBUG", f"chunk {_DOCUMENT}#{{n}} scored 0.{{m}}"),
        ("retrieval.index", "DEBUG", "segment {n} searched, {m} candidates"),
        ("sqlalchemy.engine", "DEBUG", "SELECT id FROM chunks WHERE tenant = $1 LIMIT {n} [cached {m}s ago]"),
        ("retrieval.filters", "INFO", "filter on language and date kept {n} of {m} candidates"),
    ],
    "llm-proxy": [
        ("llm_proxy.stream", "DEBUG", "received delta {n}, {m} bytes buffered"),
        ("llm_proxy.quota", "DEBUG", "tokens left this minute: {m}000, requests left: {n}"),
        ("httpx", "INFO", 'HTTP Request: POST https://api.example.com/v1/chat/completions "HTTP/1.1 200 OK"'),
        ("llm_proxy.pool", "INFO", "connection {n} reused after {m} ms"),
    ],
    "ingester": [
        ("ingester.parser", "DEBUG", f"page {{n}} of {_DOCUMENT}: {{m}} characters"),
        ("ingester.chunks", "DEBUG", "chunk {n} closed at {m} characters"),
        ("ingester.index", "INFO", "upserted {n} vectors into collection articles, {m} in all"),
    ],
}
_STACK = """Traceback (most recent call last):
  File "/srv/{module}/app.py", line {line}, in handle
    return await self._answer(request)
  File "/srv/{module}/{part}.py", line {line2}, in {function}
    result = await self._pool.run(query, timeout=self._timeout)
  File "/usr/lib/python3.12/site-packages/{library}/client.py", line 1123, in send
    raise self._translate(error) from error
{told}"""


class Story:
    """Makes the steps of one request; every figure comes from `source`."""

    def __init__(self, source: random.Random, era: Era) -> None:
        self._source = source
        self.era = era
        self.chunk_size = source.choice(era.chunk_sizes)

    def ms(self, median: float, spread: float = 0.5) -> float:
        """Return a duration: log-normal, and one in fifty four times as long."""
        slow = 4.0 if self._source.random() < 0.02 else 1.0
        return median * slow * self._source.lognormvariate(0, spread)

    def chatter(self, step: Step) -> Step:
        """Add to every step what its service says besides, about ten logs a span in all."""
        for each in step.walk():
            lines = _CHATTER[each.service]
            for _ in range(max(0, round(self._source.gauss(_LOGS_A_SPAN, 3)) - len(each.logs))):
                logger, level, text = self._source.choice(lines)
                n, m = self._source.randrange(1, 60), self._source.randrange(100, 4000)
                at = self._source.randrange(len(each.logs) + 1)
                each.logs.insert(at, Log(logger, text.format(n=n, m=m), {"attempt": n % 3, "items": m}, level))
        return step

    def http(self, caller: str, service: str, route: str, *children: Step, status: int = 200) -> Step:
        """A call over HTTP: the caller's span around the service's own."""
        values = self._http(route, status)
        served = Step(service, f"POST {route}", self.ms(4), _SERVER, {**values}, children=list(children))
        served.logs = self._access(served, status)
        values["server.address"] = service
        return Step(caller, "POST", self.ms(2), _CLIENT, values, children=[served])

    def entry(self, route: str, *children: Step, status: int = 200) -> Step:
        """The request as the outside sees it."""
        values = self._http(route, status)
        step = Step("gateway", f"POST {route}", self.ms(3), _SERVER, values, children=list(children))
        step.logs = self._access(step, status)
        return step

    def _http(self, route: str, status: int) -> dict[str, Value]:
        return {"http.request.method": "POST", "http.route": route, "http.response.status_code": status}

    def _access(self, step: Step, status: int) -> list[Log]:
        method: dict[str, Value] = {"method": "POST", "path": step.name.removeprefix("POST ")}
        sent = {**method, "status": status, "duration_ms": milliseconds(step.total_ms)}
        level = "ERROR" if status >= 500 else "WARN" if status >= 400 else "INFO"
        return [
            Log("ganglion.fastapi", "http_request_received", method),
            Log("ganglion.fastapi", "http_response_sent", sent, level),
        ]

    def layer(self, service: str, layer: str, operation: str, ms: float, *children: Step, **values: Value) -> Step:
        named: dict[str, Value] = {"rag.layer": layer, "rag.operation": operation}
        return Step(service, f"{layer}.{operation}", ms, values={**values, **named}, children=list(children))

    def search(self) -> Step:
        """Retrieval: a service of its own, its store below it."""
        factor = self.era.search_factor * (1 + self.chunk_size / 2048)
        dense, sparse, top = self._source.randrange(20, 60), self._source.randrange(5, 50), self._source.choice((4, 8))
        relevance = round(self._source.betavariate(8, 3), 3)
        query = self.layer("retrieval", "data", "search", self.ms(35 * factor), store="vectors")
        query.logs = [
            Log("rag.data", "cache_miss", {"cache": "search"}, "DEBUG"),
            Log("rag.data", "search_query_executed", {"results": dense, "duration_ms": milliseconds(query.total_ms)}),
        ]
        rerank = self.layer("retrieval", "retrieval", "rerank", self.ms(60 * factor), model="rerank-small")
        rerank.logs = [Log("rag.retrieval", "reranking_complete", {"count": top, "top_score": relevance})]
        call = self.http("rag-service", "retrieval", "/search", query, rerank)
        size = {"chunk_size": self.chunk_size}
        step = self.layer("rag-service", "retrieval", "search", self.ms(5), call, top_k=top, **size)
        step.logs = [
            Log("rag.retrieval", "search_query_received", {"length": self._source.randrange(20, 160), "top_k": top}),
            Log("rag_service.answers", f"answering question: {_QUESTION}"),
            Log("rag.retrieval", "hybrid_search_executed", {"dense_results": dense, "sparse_results": sparse}),
            Log("rag.retrieval", "chunks_retrieved", {"count": top, "relevance": relevance, **size}),
        ]
        return step

    def generation(self) -> Step:
        """The model's call, through the proxy; some prompts are kept."""
        model, tokens_in = self.era.model, self._source.randrange(400, 900) + self.chunk_size * 4
        tokens_out = int(self._source.lognormvariate(5.2, 0.5))
        cost = self._cost(model, tokens_in, tokens_out)
        usage = self._usage(model, tokens_in, tokens_out)
        call = Step("llm-proxy", f"chat {model}", self.ms(250 + 4 * tokens_out, 0.4), _CLIENT, usage)
        if self._source.random() < 0.3:
            call.values |= self._messages()
        call.logs = [
            Log("llm_proxy.calls", f"completion of {tokens_out} tokens from {model}", {"tokens": tokens_out}),
        ]
        proxied = self.http("rag-service", "llm-proxy", "/v1/chat", call)
        step = self.layer("rag-service", "generation", "answer", self.ms(6), proxied)
        step.values |= {"gen_ai.request.model": model}
        done: dict[str, Value] = {"model": model, "input_tokens": tokens_in, "output_tokens": tokens_out}
        done |= {"total_tokens": tokens_in + tokens_out, "cost_usd": cost, "duration_ms": milliseconds(call.total_ms)}
        budget: Values = {"total_tokens": 8192, "query_tokens": 40, "context_tokens": 6000, "response_tokens": 1024}
        step.logs = [
            Log("rag.generation", "generation_started", {"model": model, "temperature": 0.2}),
            Log("rag.generation", "token_budget_allocated", budget),
            Log("rag.generation", "streaming_started", {"model": model, "first_token_ms": 180.5}),
            Log("rag.generation", "generation_complete", done),
        ]
        if call.total_ms > 4000:
            slow: Values = {"model": model, "duration_ms": milliseconds(call.total_ms), "threshold_ms": 4000}
            step.logs.append(Log("rag.generation", "slow_generation", slow, "WARN"))
        return step

    def _cost(self, model: str, tokens_in: int, tokens_out: int) -> float:
        per_in, per_out = _PRICES[model]
        return round((tokens_in * per_in + tokens_out * per_out) / 1e6, 8)

    def _usage(self, model: str, tokens_in: int, tokens_out: int) -> dict[str, Value]:
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": model,
            "gen_ai.request.temperature": 0.2,
            "gen_ai.response.model": model,
            "gen_ai.response.finish_reasons": "stop",
            "gen_ai.usage.input_tokens": tokens_in,
            "gen_ai.usage.output_tokens": tokens_out,
        }

    def _messages(self) -> dict[str, Value]:
        prompt = f"Answer from the sources only. Sources: {_DOCUMENT}. Question: {_QUESTION}"
        asked = f'[{{"role": "system", "content": "You answer briefly."}}, {{"role": "user", "content": "{prompt}"}}]'
        return {"gen_ai.prompt": asked, "gen_ai.completion": f'[{{"role": "assistant", "content": "{_ANSWER}"}}]'}

    def evaluation(self) -> Step:
        """RAGAS scores of the answer."""
        better = 0.02 if self.chunk_size >= 1024 else 0.0
        mean = self.era.faithfulness + better
        faithfulness = round(self._source.betavariate(mean * 20, (1 - mean) * 20), 3)
        relevancy = round(self._source.betavariate(17, 3), 3)
        tier = "good" if faithfulness >= 0.8 else "fair" if faithfulness >= 0.6 else "poor"
        step = self.layer("rag-service", "evaluation", "evaluate", self.ms(90))
        done: Values = {"score": faithfulness, "duration_ms": milliseconds(step.total_ms)}
        step.logs = [
            Log("rag.evaluation", "evaluation_started", {"evaluator": "ragas"}),
            Log("rag.evaluation", "ragas_score_computed", {"faithfulness": faithfulness, "relevancy": relevancy}),
            Log("rag.evaluation", "claims_checked", {"claims": 6, "hallucinated": int(faithfulness < 0.7)}),
            Log("rag.evaluation", "quality_tier_assigned", {"tier": tier, "score": faithfulness}),
            Log("rag.evaluation", "evaluation_complete", done),
        ]
        return step

    def memory(self, operation: str) -> Step:
        step = self.layer("rag-service", "memory", operation, self.ms(3))
        event = "history_retrieved" if operation == "retrieve" else "history_stored"
        size: Values = {"turns": self._source.randrange(12), "tokens": self._source.randrange(900)}
        step.logs = [Log("rag.memory", event, size)]
        return step

    def ask(self) -> Step:
        steps = [self.memory("retrieve"), self.search(), self.generation(), self.evaluation(), self.memory("store")]
        return self.entry("/ask", self.http("gateway", "rag-service", "/ask", *steps))

    def cached(self) -> Step:
        step = self.layer("rag-service", "data", "cache", self.ms(2), cache="answers")
        step.logs = [Log("rag.data", "cache_hit", {"cache": "answers"}, "DEBUG")]
        return self.entry("/ask", self.http("gateway", "rag-service", "/ask", self.memory("retrieve"), step))

    def upload(self) -> Step:
        pages, chunks = self._source.randrange(1, 80), self._source.randrange(4, 300)
        parsing = Step("ingester", "file_parsing", self.ms(15 * pages), values={"file": _DOCUMENT, "pages": pages})
        parsed: Values = {"documents": 1, "duration_ms": milliseconds(parsing.total_ms)}
        parsing.logs = [Log("rag.ingestion", "file_parsed", parsed)]
        tokens, model = chunks * self.chunk_size // 4, "text-embedding-3-small"
        embedded = Step("llm-proxy", f"embeddings {model}", self.ms(4 * chunks), _CLIENT)
        embedded.values |= {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": model}
        embedded.values |= {"gen_ai.usage.input_tokens": tokens}
        call = self.http("ingester", "llm-proxy", "/v1/embeddings", embedded)
        store = self.layer("ingester", "data", "put", self.ms(2 * chunks), store="vectors")
        step = self.layer("ingester", "ingestion", "upload", self.ms(20), parsing, call, store)
        step.values |= {"file": _DOCUMENT, "chunks": chunks, "chunk_size": self.chunk_size}
        size: dict[str, Value] = {"count": chunks, "chunk_size": self.chunk_size}
        cost: Values = {"model": model, "tokens": tokens, "cost_usd": self._cost(model, tokens, 0), "count": chunks}
        step.logs = [
            Log("rag.ingestion", "file_upload_started", {"size": pages * 3000, "format": "pdf", "file": _DOCUMENT}),
            Log("rag.ingestion", "chunks_created", {**size, "average_size": self.chunk_size}),
            Log("rag.ingestion", "enrichment_complete", {"count": chunks}),
            Log("rag.ingestion", "embedding_complete", cost),
            Log("rag.ingestion", "storage_complete", {"count": chunks}),
        ]
        return self.entry("/documents", self.http("gateway", "ingester", "/documents", step), status=201)

    def failing(self, made: Callable[["Story"], Step], name: str, failure: Failure) -> Step:
        """The request of `made`, ended by `failure` in the first step called `name`."""
        root = made(self)
        path = _path(root, name)
        for upper, lower in itertools.pairwise(path):
            del upper.children[upper.children.index(lower) + 1 :]
            upper.logs = [log for log in upper.logs if not log.message.endswith("_complete")]
            upper.failure = Failure(failure.kind, failure.message)
            if "http.response.status_code" in upper.values:
                upper.values["http.response.status_code"] = 502
        origin = path[-1]
        origin.failure, origin.children = failure, []
        values = {"error_type": failure.kind, "duration_ms": milliseconds(origin.total_ms), **failure.attributes}
        event = f"{origin.name}_failed" if "." in origin.name else "request_failed"
        layer = origin.values.get("rag.layer")
        origin.logs.append(Log(f"rag.{layer}" if layer else f"{origin.service}.calls", event, values, "ERROR"))
        failed: dict[str, Value] = {"error_type": failure.kind, "error": failure.told}
        failed |= {"status": 502, "duration_ms": milliseconds(root.total_ms)}
        root.logs[-1] = Log("ganglion.fastapi", "http_request_failed", failed, "ERROR")
        return root

    def stack(self, module: str, function: str, library: str, kind: str, message: str) -> Failure:
        line = self._source.randrange(20, 400)
        lines = {"line": line, "line2": line + 77}
        told = f"{kind}: {message}"
        text = _STACK.format(module=module, part="calls", function=function, library=library, told=told, **lines)
        return Failure(kind, message, text)


def _path(root: Step, name: str) -> list[Step]:
    """Return the steps from `root` to the first one called `name`; nothing if there is none."""
    if root.name.startswith(name):
        return [root]
    for child in root.children:
        if below := _path(child, name):
            return [root, *below]
    return []


def _timeout(story: Story) -> Step:
    failure = story.stack("llm-proxy", "complete", "httpx", "TimeoutError", "the model did not answer within 30 s")
    root = story.failing(Story.ask, "chat", failure)
    _path(root, "chat")[-1].own_ms = 30_000 + story.ms(20)
    return root


def _rate_limit(story: Story) -> Step:
    message = f"429 Too Many Requests: quota of tenant {MARKS['tenant']} is used up, retry after 20 s"
    return story.failing(Story.ask, "chat", story.stack("llm-proxy", "complete", "openai", "RateLimitError", message))


def _refused(story: Story) -> Step:
    message = "connection to server at 10.4.0.17, port 5432 failed: Connection refused"
    failure = story.stack("retrieval", "search", "psycopg", "psycopg.OperationalError", message)
    return story.failing(Story.ask, "data.search", failure)


def _unreadable(story: Story) -> Step:
    failure = story.stack("ingester", "parse", "pypdf", "UnreadableDocumentError", f"{_DOCUMENT} is encrypted")
    return story.failing(Story.upload, "file_parsing", failure)


def _budget(story: Story) -> Step:
    message = "the question leaves no room for a source: 8411 of 8192 tokens"
    failure = story.stack("rag-service", "prompt", "rag", "TokenBudgetError", message)
    return story.failing(Story.ask, "generation.answer", failure)


KINDS: Mapping[Callable[[Story], Step], float] = {
    Story.ask: 0.70,
    Story.cached: 0.165,
    Story.upload: 0.12,
    _timeout: 0.004,
    _rate_limit: 0.005,
    _refused: 0.002,
    _unreadable: 0.002,
    _budget: 0.002,
}
"""What requests are, and how often."""
FAULTS: Mapping[Callable[[Story], Step], float] = {**KINDS, _refused: 0.4}
"""The same while the vector store refuses connections."""


def resources(era: Era, source: random.Random) -> Mapping[str, Mapping[str, Value]]:
    """Return the attributes of each service's resource."""
    versions = {"rag-service": era.version, **_VERSIONS}
    return {
        service: {
            "service.version": version,
            "deployment.environment.name": "production",
            "host.name": f"node-{source.randrange(3)}",
            "service.namespace": "answers",
            "telemetry.sdk.language": "python",
        }
        for service, version in versions.items()
    }


def background(source: random.Random) -> list[tuple[str, Log]]:
    """Return logs of no request: schedules, health, connections."""
    compacted: Values = {"duration_ms": milliseconds(source.uniform(5, 900))}
    lines = [
        ("gateway", Log("gateway.health", "all upstreams are healthy", {"upstreams": 4})),
        ("retrieval", Log("retrieval.index", f"compacted segment {source.randrange(900)}", compacted)),
        ("ingester", Log("ingester.schedule", "nothing to ingest", level="DEBUG")),
        ("llm-proxy", Log("llm_proxy.pool", "closed idle connections", {"count": source.randrange(9)}, "DEBUG")),
    ]
    if source.random() < 0.1:
        lines.append(("retrieval", Log("retrieval.index", "replica lags behind by 12 s", {"lag_s": 12}, "WARN")))
    return lines
