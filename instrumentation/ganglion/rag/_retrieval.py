"""Events of data and retrieval: from a question to the chunks that may answer it."""

import logging
from collections.abc import Iterable

from ganglion.rag._events import describe, tell
from ganglion.rag._instruments import CACHE_HITS, CACHE_MISSES, CACHE_SIZE, add
from ganglion.rag._values import label, number

__all__ = [
    "cache_hit",
    "cache_miss",
    "cache_size",
    "chunks_retrieved",
    "hybrid_search_executed",
    "reranking_complete",
    "search_query_executed",
    "search_query_received",
]

_DATA = "data"
_RETRIEVAL = "retrieval"


def search_query_executed(*, duration_ms: float, results: int, store: str | None = None) -> None:
    """Tell `search_query_executed` of the data layer: the time a store took to answer one query."""
    tell(_DATA, "search_query_executed", {"duration_ms": duration_ms, "results": results, "store": store})


def cache_hit(cache: str = "default") -> None:
    """Count `rag_cache_hits_total{cache}` and tell `cache_hit` at DEBUG."""
    add(CACHE_HITS, 1, {"cache": label("cache", cache)})
    tell(_DATA, "cache_hit", {"cache": cache}, level=logging.DEBUG)


def cache_miss(cache: str = "default") -> None:
    """Count `rag_cache_misses_total{cache}` and tell `cache_miss` at DEBUG."""
    add(CACHE_MISSES, 1, {"cache": label("cache", cache)})
    tell(_DATA, "cache_miss", {"cache": cache}, level=logging.DEBUG)


def cache_size(size_bytes: int, cache: str = "default") -> None:
    """Set `rag_cache_size_bytes{cache}`; call it when the cache's size changes."""
    size = number(size_bytes)
    if size is not None:
        CACHE_SIZE.set(size, {"cache": label("cache", cache)})


def search_query_received(*, length: int, top_k: int | None = None, query: str | None = None) -> None:
    """Tell `search_query_received`: the query's `length` in characters and how many results are wanted.

    The text itself is logged only where it is passed as `query`: it is what a person wrote.
    """
    tell(_RETRIEVAL, "search_query_received", {"length": length, "top_k": top_k, "query": query})


def hybrid_search_executed(*, dense_results: int, sparse_results: int, duration_ms: float | None = None) -> None:
    """Tell `hybrid_search_executed`: how many results the vectors gave, and how many the words."""
    fields = {"dense_results": dense_results, "sparse_results": sparse_results, "duration_ms": duration_ms}
    tell(_RETRIEVAL, "hybrid_search_executed", fields)


def reranking_complete(*, scores: Iterable[float], model: str | None = None, duration_ms: float | None = None) -> None:
    """Tell `reranking_complete`: the scores, of which the first 100 are logged, their count and the highest."""
    describe({"gen_ai.request.model": model})
    given = list(scores)
    known = [score for score in map(number, given) if score is not None]
    fields = {
        "scores": given,
        "count": len(given),
        "top_score": max(known, default=None),
        "model": model,
        "duration_ms": duration_ms,
    }
    tell(_RETRIEVAL, "reranking_complete", fields)


def chunks_retrieved(*, count: int, relevance: float | None = None) -> None:
    """Tell `chunks_retrieved`: how many go to the model, and their mean relevance by the scale of the search."""
    tell(_RETRIEVAL, "chunks_retrieved", {"count": count, "relevance": relevance})
