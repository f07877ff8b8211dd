"""Layers retrieval and data: a question becomes the few chunks that may answer it."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ganglion
from ganglion import rag

from .models import EMBEDDING
from .store import Chunk, Hit, Index, Store
from .switches import Switches
from .text import content_words
from .timing import ms_since, now

__all__ = ["Found", "Query", "Retriever"]

_CANDIDATES = 20
_RESULTS = 4
_LEAST_RELEVANCE = 0.2
_CACHED_QUERIES = 256


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, and in whose documents."""

    tenant: str
    text: str

    @property
    def terms(self) -> tuple[str, ...]:
        return tuple(content_words(self.text))


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gave: the best chunks first, with their relevance from 0 to 1."""

    hits: Sequence[Hit]
    index: Index

    @property
    def chunks(self) -> list[Chunk]:
        return [chunk for _, chunk in self.hits]


class _Cache:
    """The last queries' candidates; a new upload makes the tenant's old ones unreachable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, list[Chunk]] = OrderedDict()
        self._size = 0

    def get(self, key: object) -> list[Chunk] | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        return found

    def put(self, key: object, chunks: list[Chunk]) -> int:
        """Keep it and return the size of all that is kept, in bytes of text."""
        with self._lock:
            self._size += _size(chunks) - _size(self._kept.pop(key, []))
            self._kept[key] = chunks
            if len(self._kept) > _CACHED_QUERIES:
                self._size -= _size(self._kept.popitem(last=False)[1])
            return self._size


def _size(chunks: Iterable[Chunk]) -> int:
    return sum(len(chunk.text.encode()) for chunk in chunks)


class Retriever:
    """Hybrid search over a store: by meaning and by words, then both together, more closely."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cache = _Cache()

    def search(self, query: Query, switches: Switches) -> Found:
        """Return the best chunks; none is an answer too.

        Raises:
            StoreUnavailableError: the store cannot be reached.
        """
        with rag.layer("retrieval", operation="search") as step:
            rag.search_query_received(length=len(query.text), top_k=_RESULTS, query=query.text)
            index, candidates = self._candidates(query, switches)
            hits = _reranked(query, index, candidates)[:_RESULTS]
            relevance = sum(score for score, _ in hits) / len(hits) if hits else 0.0
            rag.chunks_retrieved(count=len(hits), relevance=round(relevance, 3))
            step.set(results=len(hits))
            return Found(hits, index)

    def _candidates(self, query: Query, switches: Switches) -> tuple[Index, list[Chunk]]:
        with rag.layer("data", operation="query"):
            self._store.check(switches.store_answers)
            version, index = self._store.index(query.tenant)
            key = (query.tenant, version, query.terms)
            if (cached := self._cache.get(key)) is not None:
                rag.cache_hit("queries")
                return index, cached
            rag.cache_miss("queries")
            found = _searched(query, index)
            rag.cache_size(self._cache.put(key, found), "queries")
            return index, found


def _searched(query: Query, index: Index) -> list[Chunk]:
    started = now()
    dense = index.dense(EMBEDDING.embed([" ".join(query.terms)])[0], _CANDIDATES)
    sparse = index.sparse(query.terms, _CANDIDATES)
    fused = _fused(dense, sparse)[:_CANDIDATES]
    took = ms_since(started)
    rag.search_query_executed(duration_ms=took, results=len(fused), store="memory")
    rag.hybrid_search_executed(dense_results=len(dense), sparse_results=len(sparse), duration_ms=took)
    return fused


def _fused(*rankings: Sequence[Hit]) -> list[Chunk]:
    """Fuse by reciprocal rank (Cormack et al. 2009, k = 60): scores of different scales need not be compared."""
    scores: dict[str, float] = {}
    chunks: dict[str, Chunk] = {}
    for ranking in rankings:
        for rank, (_, chunk) in enumerate(ranking):
            chunks[chunk.id] = chunk
            scores[chunk.id] = scores.get(chunk.id, 0.0) + 1 / (60 + rank)
    return [chunks[key] for key in sorted(scores, key=lambda key: -scores[key])]


def _reranked(query: Query, index: Index, candidates: Sequence[Chunk]) -> list[Hit]:
    """Return the candidates that share enough with the question: its words, its heading's, its meaning."""
    with ganglion.trace_span("rerank", candidates=len(candidates)):
        started = now()
        vector = EMBEDDING.embed([" ".join(query.terms)])[0]
        scored: list[Hit] = []
        for chunk in candidates:
            words = index.covered(query.terms, content_words(chunk.indexed_text))
            heading = index.covered(query.terms, content_words(chunk.heading))
            scored.append((0.7 * words + 0.1 * heading + 0.2 * index.nearness(vector, chunk), chunk))
        scored.sort(key=lambda hit: -hit[0])
        took = ms_since(started)
        rag.reranking_complete(scores=[round(score, 3) for score, _ in scored], duration_ms=took)
        return [hit for hit in scored if hit[0] >= _LEAST_RELEVANCE]
