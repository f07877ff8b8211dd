"""The six layers of a RAG service: their operations, events and metrics.

    with rag.layer("retrieval", operation="search") as step:
        rag.search_query_received(length=len(question))
        found = search(question)
        rag.hybrid_search_executed(dense_results=40, sparse_results=25)
        step.set(index="articles")

`layer` measures an operation; every other function tells one event of a layer as a log record of the logger
`rag.<layer>`, and records the metrics that belong to it. Durations are milliseconds, costs US dollars. What is None
is left out. No measured value makes a function raise: one that no metric can take is logged and not recorded. All works
before `ganglion.configure()` and without it; then nothing is measured.
"""

from ganglion.rag._evaluation import (
    QualityTier,
    claims_checked,
    evaluation_complete,
    evaluation_started,
    quality_tier_assigned,
    ragas_score_computed,
)
from ganglion.rag._generation import (
    cost_incurred,
    generation_complete,
    generation_started,
    rate_limit_hit,
    slow_generation,
    streaming_started,
    token_budget_allocated,
)
from ganglion.rag._ingestion import (
    chunks_created,
    embedding_complete,
    enrichment_complete,
    file_parsed,
    file_upload_failed,
    file_upload_started,
    storage_complete,
)
from ganglion.rag._layer import Layer, Step, layer
from ganglion.rag._memory import history_retrieved, history_stored, history_summarized
from ganglion.rag._retrieval import (
    cache_hit,
    cache_miss,
    cache_size,
    chunks_retrieved,
    hybrid_search_executed,
    reranking_complete,
    search_query_executed,
    search_query_received,
)

__all__ = [
    "Layer",
    "QualityTier",
    "Step",
    "cache_hit",
    "cache_miss",
    "cache_size",
    "chunks_created",
    "chunks_retrieved",
    "claims_checked",
    "cost_incurred",
    "embedding_complete",
    "enrichment_complete",
    "evaluation_complete",
    "evaluation_started",
    "file_parsed",
    "file_upload_failed",
    "file_upload_started",
    "generation_complete",
    "generation_started",
    "history_retrieved",
    "history_stored",
    "history_summarized",
    "hybrid_search_executed",
    "layer",
    "quality_tier_assigned",
    "ragas_score_computed",
    "rate_limit_hit",
    "reranking_complete",
    "search_query_executed",
    "search_query_received",
    "slow_generation",
    "storage_complete",
    "streaming_started",
    "token_budget_allocated",
]
