"""The models of this service, all pure arithmetic: one embeds texts, one of two writes answers; and what they cost."""

import itertools
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .text import content_words

__all__ = ["EMBEDDING", "GENERATION", "EmbeddingModel", "GenerationModel", "Vectors", "generation_model"]

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """Feature hashing of words, pairs of words and word beginnings (Weinberger et al. 2009): alike texts lie near."""

    name: str = "hashing-512"
    dimensions: int = 512
    usd_per_million_tokens: float = 0.02

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row of length 1 for each text (of length 0 for a text without words)."""
        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(found, texts, strict=True):
            for feature, weight in self._features(text):
                digest = zlib.crc32(feature.encode())
                row[digest % self.dimensions] += weight if digest & 0x8000_0000 else -weight
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return (found / np.where(lengths == 0, 1, lengths)).astype(np.float32)

    def _features(self, text: str) -> Iterable[tuple[str, float]]:
        known = content_words(text)
        counted = Counter(known)
        for word, count in counted.items():
            weight = 1 + float(np.log(count))
            yield word, weight
            if len(word) > 5:
                yield f"^{word[:5]}", 0.5 * weight
        for left, right in itertools.pairwise(known):
            yield f"{left} {right}", 0.5

    def cost_usd(self, tokens: int) -> float:
        return tokens * self.usd_per_million_tokens / 1e6


@dataclass(frozen=True, slots=True)
class GenerationModel:
    """What an extractive generator costs and may hold."""

    name: str = "extractive-1"
    temperature: float = 0.0
    window_tokens: int = 2048
    """Question, context and answer together."""
    answer_tokens: int = 256
    answer_sentences: int = 3
    usd_per_million_input_tokens: float = 0.50
    usd_per_million_output_tokens: float = 1.50

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float:
        paid = input_tokens * self.usd_per_million_input_tokens + output_tokens * self.usd_per_million_output_tokens
        return paid / 1e6


_MINI = GenerationModel(
    name="extractive-1-mini",
    answer_tokens=96,
    answer_sentences=1,
    usd_per_million_input_tokens=0.10,
    usd_per_million_output_tokens=0.30,
)
_GENERATION_MODELS: Mapping[str, GenerationModel] = {model.name: model for model in (GenerationModel(), _MINI)}


def generation_model(name: str) -> GenerationModel:
    """Return the model of that name.

    Raises:
        ValueError: no such model; the text names those that exist.
    """
    if name not in _GENERATION_MODELS:
        raise ValueError(f"RAG_MODEL: no such model; there are {', '.join(_GENERATION_MODELS)}")
    return _GENERATION_MODELS[name]


EMBEDDING = EmbeddingModel()
GENERATION = generation_model(os.environ.get("RAG_MODEL") or "extractive-1")
