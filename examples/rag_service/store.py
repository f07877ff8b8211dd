"""The chunks of every tenant in memory, with a dense and a sparse index over them."""

import math
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import bm25s  # type: ignore[import-untyped]
import numpy as np

from .models import EMBEDDING, Vectors
from .text import content_words

__all__ = ["Chunk", "Index", "Store", "StoreUnavailableError"]


class StoreUnavailableError(ConnectionError):
    """The store cannot be reached."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, small enough to be read with others at once."""

    id: str
    file: str
    heading: str
    text: str
    tokens: int
    keywords: tuple[str, ...] = ()

    @property
    def indexed_text(self) -> str:
        """What is searched: a chunk is also about its heading."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


Hit = tuple[float, Chunk]


class Index:
    """One state of a tenant's chunks, never changed, so that searches need no lock."""

    def __init__(self, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        self.chunks = tuple(chunks)
        self._vectors = vectors
        self._rows = {chunk.id: row for chunk, row in zip(self.chunks, vectors, strict=True)}
        terms = [content_words(chunk.indexed_text) for chunk in self.chunks]
        self._holders = Counter(term for found in terms for term in set(found))
        self._bm25: Any = bm25s.BM25()
        if self._holders:
            self._bm25.index(terms, show_progress=False)

    def dense(self, vector: Vectors, limit: int) -> list[Hit]:
        """Return the chunks nearest to a vector, by cosine."""
        return self._best(self._vectors @ vector, limit, above=0.05) if self.chunks else []

    def nearness(self, vector: Vectors, chunk: Chunk) -> float:
        """Return the cosine of a vector and a chunk of this index, from 0 to 1."""
        return max(0.0, float(vector @ self._rows[chunk.id]))

    def sparse(self, terms: Sequence[str], limit: int) -> list[Hit]:
        """Return the chunks that hold the rarest of the words, by BM25."""
        known = [term for term in terms if term in self._holders]
        return self._best(self._bm25.get_scores(known), limit, above=0.0) if known else []

    def weight(self, term: str) -> float:
        """Return how telling a word is: 1 if no chunk holds it, near 0 if all do."""
        everything = len(self.chunks) + 1
        return math.log(1 + everything / (1 + self._holders[term])) / math.log(1 + everything)

    def covered(self, wanted: Iterable[str], held: Iterable[str]) -> float:
        """Return which share, by weight, of the wanted words is held."""
        weights = {term: self.weight(term) for term in wanted}
        total = sum(weights.values())
        found = set(held)
        return sum(weight for term, weight in weights.items() if term in found) / total if total else 0.0

    def _best(self, scores: Vectors, limit: int, *, above: float) -> list[Hit]:
        order = np.argsort(-scores, kind="stable")[:limit]
        return [(float(scores[n]), self.chunks[n]) for n in order if scores[n] > above]


@dataclass(slots=True)
class _Tenant:
    files: dict[str, tuple[list[Chunk], Vectors]] = field(default_factory=dict[str, tuple[list[Chunk], Vectors]])
    version: int = 0
    index: Index | None = None


class Store:
    """Thread-safe. A file uploaded again replaces what it was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tenants: dict[str, _Tenant] = {}

    def check(self, answering: bool) -> None:
        """Raise StoreUnavailableError where the store is made unreachable."""
        if not answering:
            raise StoreUnavailableError("the store refused the connection")

    def put(self, tenant: str, file: str, chunks: list[Chunk], vectors: Vectors) -> None:
        with self._lock:
            found = self._tenants.setdefault(tenant, _Tenant())
            found.files[file] = (chunks, vectors)
            found.version += 1
            found.index = None

    def index(self, tenant: str) -> tuple[int, Index]:
        """Return the tenant's index and its version, which rises with every upload."""
        with self._lock:
            found = self._tenants.get(tenant, _Tenant())
            if found.index is None:
                chunks = [chunk for kept, _ in found.files.values() for chunk in kept]
                rows = [vectors for _, vectors in found.files.values()]
                empty = np.zeros((0, EMBEDDING.dimensions), dtype=np.float32)
                found.index = Index(chunks, np.concatenate([empty, *rows]))
            return found.version, found.index

    def files(self, tenant: str) -> dict[str, int]:
        """Return how many chunks each file of the tenant has."""
        with self._lock:
            found = self._tenants.get(tenant, _Tenant())
            return {file: len(chunks) for file, (chunks, _) in sorted(found.files.items())}
