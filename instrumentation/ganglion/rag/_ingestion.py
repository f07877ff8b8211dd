"""Events of ingestion: from an uploaded file to stored chunks."""

import logging
from collections.abc import Iterable

from ganglion.rag._events import describe, spend, tell
from ganglion.rag._instruments import CHUNKS, DOCUMENTS, TOKENS, add, record
from ganglion.rag._values import label

__all__ = [
    "chunks_created",
    "embedding_complete",
    "enrichment_complete",
    "file_parsed",
    "file_upload_failed",
    "file_upload_started",
    "storage_complete",
]

_LAYER = "ingestion"


def file_upload_started(*, size: int, format: str, user: str | None = None) -> None:  # noqa: A002 - the event's own word
    """Tell `file_upload_started`: `size` in bytes, `format` as in `pdf`; `user` is logged as user_id."""
    tell(_LAYER, "file_upload_started", {"size": size, "format": format, "user_id": user})


def file_parsed(*, documents: int, duration_ms: float | None = None) -> None:
    """Tell `file_parsed`; counts `rag_documents_total`."""
    add(DOCUMENTS, documents, {})
    tell(_LAYER, "file_parsed", {"documents": documents, "duration_ms": duration_ms})


def chunks_created(*, count: int, average_size: float) -> None:
    """Tell `chunks_created`: `average_size` in the unit that the splitter counts in; counts `rag_chunks_total`."""
    add(CHUNKS, count, {})
    tell(_LAYER, "chunks_created", {"count": count, "average_size": average_size})


def enrichment_complete(*, count: int, duration_ms: float | None = None) -> None:
    """Tell `enrichment_complete`: `count` chunks were given titles, summaries, keywords or the like."""
    tell(_LAYER, "enrichment_complete", {"count": count, "duration_ms": duration_ms})


def embedding_complete(
    *,
    model: str,
    tokens: int,
    cost_usd: float | None = None,
    count: int | None = None,
    duration_ms: float | None = None,
) -> None:
    """Tell `embedding_complete`: `count` chunks of `tokens` tokens in all.

    Records `rag_token_usage{model}` and, where a cost is given, `rag_cost_usd_total{layer,model}`. The current span
    gets `gen_ai.operation.name`, `gen_ai.request.model` and `gen_ai.usage.input_tokens`.
    """
    describe(
        {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": tokens,
        }
    )
    record(TOKENS, tokens, {"model": label("model", model)})
    spend(_LAYER, cost_usd, model)
    fields = {"model": model, "tokens": tokens, "cost_usd": cost_usd, "count": count, "duration_ms": duration_ms}
    tell(_LAYER, "embedding_complete", fields)


def storage_complete(*, ids: Iterable[str], duration_ms: float | None = None) -> None:
    """Tell `storage_complete`: the ids stored, of which the first 100 are logged, and their count."""
    stored = list(ids)
    tell(_LAYER, "storage_complete", {"ids": stored, "count": len(stored), "duration_ms": duration_ms})


def file_upload_failed(
    *, error: BaseException | str, user: str | None = None, duration_ms: float | None = None
) -> None:
    """Tell `file_upload_failed` at ERROR: an exception with its stack, or what went wrong in words.

    Counts nothing: `layer` counts what fails in it.
    """
    fields = {"user_id": user, "duration_ms": duration_ms}
    if isinstance(error, BaseException):
        tell(_LAYER, "file_upload_failed", fields, level=logging.ERROR, error=error)
    else:
        tell(_LAYER, "file_upload_failed", {**fields, "error": error}, level=logging.ERROR)
