"""Layer ingestion: a file becomes chunks in the store."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import ganglion
from ganglion import rag

from .documents import Document, format_of, parse
from .models import EMBEDDING, Vectors
from .store import Chunk, Store
from .switches import Switches
from .text import content_words, count_tokens, sentences
from .timing import ms_since, now

__all__ = ["CHUNK_TOKENS", "Upload", "cut", "enriched", "ingest"]

CHUNK_TOKENS = int(os.environ.get("RAG_CHUNK_SIZE") or 160)
"""How large a chunk may be; larger ones tell more, smaller ones are found more exactly."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody sent."""

    tenant: str
    user: str
    file: str
    content: bytes


def ingest(upload: Upload, store: Store, switches: Switches) -> list[Chunk]:
    """Store an upload's chunks and return them; what the file held before is replaced.

    Raises:
        UnreadableDocumentError: the file cannot be read; nothing of it is stored.
        StoreUnavailableError: nothing of it is stored.
    """
    with rag.layer("ingestion", operation="upload", file=upload.file) as step:
        started = now()
        try:
            chunks = _ingested(upload, store, switches)
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            rag.file_upload_failed(error=told, user=upload.user, duration_ms=ms_since(started))
            raise
        step.set(chunks=len(chunks))
        return chunks


def _ingested(upload: Upload, store: Store, switches: Switches) -> list[Chunk]:
    rag.file_upload_started(size=len(upload.content), format=format_of(upload.file), user=upload.user)
    with ganglion.trace_span("file_parsing", file=upload.file):
        time.sleep(switches.pause)
        documents = parse(upload.file, upload.content)
        rag.file_parsed(documents=len(documents))
    chunks = [chunk for document in documents for chunk in cut(document)]
    chunks = [replace(chunk, id=f"{upload.file}#{number}") for number, chunk in enumerate(chunks)]
    rag.chunks_created(count=len(chunks), average_size=sum(chunk.tokens for chunk in chunks) / len(chunks))
    chunks = [enriched(chunk) for chunk in chunks]
    rag.enrichment_complete(count=len(chunks))
    vectors = _embedded(chunks)
    store.check(switches.store_answers)
    store.put(upload.tenant, upload.file, chunks, vectors)
    rag.storage_complete(ids=[chunk.id for chunk in chunks])
    return chunks


def cut(document: Document) -> Iterator[Chunk]:
    """Yield the document's chunks: whole sentences where they fit."""
    gathered: list[str] = []
    size = 0
    for piece in _pieces(document.text):
        tokens = count_tokens(piece)
        if gathered and size + tokens > CHUNK_TOKENS:
            yield _chunk(document, gathered)
            gathered, size = [], 0
        gathered.append(piece)
        size += tokens
    if gathered:
        yield _chunk(document, gathered)


def _pieces(text: str) -> Iterator[str]:
    for sentence in sentences(text):
        if count_tokens(sentence) <= CHUNK_TOKENS:
            yield sentence
            continue
        for start in range(0, len(sentence), CHUNK_TOKENS):  # at least one letter makes a token
            yield sentence[start : start + CHUNK_TOKENS]


def _chunk(document: Document, gathered: Sequence[str]) -> Chunk:
    text = "\n".join(gathered)
    return Chunk(document.file, document.file, document.heading, text, count_tokens(text))


def enriched(chunk: Chunk) -> Chunk:
    """Return the chunk with the five words it is most about."""
    counted = Counter(content_words(chunk.indexed_text))
    ranked = sorted(counted, key=lambda word: (-counted[word] * len(word), word))
    return replace(chunk, keywords=tuple(ranked[:5]))


def _embedded(chunks: Sequence[Chunk]) -> Vectors:
    with ganglion.trace_span("embed_chunks"):
        tokens = sum(chunk.tokens for chunk in chunks)
        vectors = EMBEDDING.embed([chunk.indexed_text for chunk in chunks])
        rag.embedding_complete(
            model=EMBEDDING.name, tokens=tokens, cost_usd=EMBEDDING.cost_usd(tokens), count=len(chunks)
        )
        return vectors
