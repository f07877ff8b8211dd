"""A small document search: an ordinary FastAPI service that knows nothing of where its telemetry goes.

`opentelemetry-instrument` gives it request spans, metrics and the export of its logs; its own code only logs, as
services do, and names the steps of its work with the OpenTelemetry API.
"""

import difflib
import itertools
import json
import logging
import math
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from opentelemetry import trace
from pydantic import BaseModel

logger = logging.getLogger("search")
logger.setLevel(logging.INFO)
tracer = trace.get_tracer("search")

UserId = Annotated[str, Header(alias="X-User-ID")]


class Upload(BaseModel):
    title: str
    text: str


@dataclass
class Document:
    title: str
    text: str
    words: Counter[str] = field(default_factory=Counter)

    @property
    def sentences(self) -> list[str]:
        return [sentence for sentence in re.split(r"(?<=[.!?])\s+", self.text) if sentence]


class Library:
    """Documents and the words in them, in memory."""

    def __init__(self, uploads: list[Upload]) -> None:
        self.documents: list[Document] = []
        for upload in uploads:
            self.add(upload)

    def add(self, upload: Upload) -> int:
        self.documents.append(Document(upload.title, upload.text, Counter(words_of(upload.text))))
        return len(self.documents) - 1

    @tracer.start_as_current_span("search.rank")
    def rank(self, words: list[str]) -> list[tuple[float, Document]]:
        trace.get_current_span().set_attribute("search.documents", len(self.documents))
        scored = [(self._score(document, words), document) for document in self.documents]
        return sorted(((score, found) for score, found in scored if score > 0), key=lambda pair: -pair[0])

    def _score(self, document: Document, words: list[str]) -> float:
        """TF-IDF; a title that holds the word counts as once more in the text."""
        score = 0.0
        for word in words:
            holders = sum(word in other.words for other in self.documents)
            titled = word in words_of(document.title)
            score += (document.words[word] + titled) * math.log(1 + len(self.documents) / (1 + holders))
        return score


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-zäöüß]+", text.lower())


@tracer.start_as_current_span("search.statistics")
def statistics(document: Document) -> dict[str, float]:
    """Count a document. Wrong for a document without a sentence: a mistake, as services have them."""
    span = trace.get_current_span()
    span.set_attribute("document.title", document.title)
    sentences = document.sentences
    return {"sentences": len(sentences), "words_per_sentence": document.words.total() / len(sentences)}


library = Library([Upload(**entry) for entry in json.loads(Path(__file__).with_name("documents.json").read_text())])
app = FastAPI(title="Document search")


@app.post("/documents", status_code=201)
def upload_document(upload: Upload, user: UserId = "anonymous") -> dict[str, int]:
    number = library.add(upload)
    size = len(upload.text)
    logger.info("file_upload_completed", extra={"user.id": user, "document.id": number, "size_bytes": size})
    if not size:
        logger.warning("empty document", extra={"user.id": user, "document.id": number})
    return {"id": number}


@app.get("/search")
def search(q: str, user: UserId = "anonymous") -> list[dict[str, object]]:
    started = time.perf_counter()
    found = library.rank(words_of(q))
    duration = (time.perf_counter() - started) * 1000
    extra = {"user.id": user, "search.query": q, "results": len(found), "duration_ms": duration}
    logger.info("search_completed", extra=extra)
    return [{"title": document.title, "score": round(score, 3)} for score, document in found]


@app.get("/report")
def report(q: str, user: UserId = "anonymous") -> list[dict[str, object]]:
    """Search, then count every document found."""
    logger.info("report_started", extra={"user.id": user, "search.query": q})
    rows: list[dict[str, object]] = []
    for score, document in library.rank(words_of(q)):
        try:
            rows.append({"title": document.title, "score": round(score, 3), **statistics(document)})
        except ArithmeticError:
            logger.exception("report_failed", extra={"user.id": user, "document.title": document.title})
            raise
    logger.info("report_completed", extra={"user.id": user, "documents": len(rows)})
    return rows


@app.get("/duplicates")
def duplicates(user: UserId = "anonymous") -> list[dict[str, object]]:
    """Compare each sentence with each other, letter by letter: thorough, and slow."""
    started = time.perf_counter()
    sentences = [sentence for document in library.documents for sentence in document.sentences]
    pairs = [compare(left, right) for left, right in itertools.combinations(sentences, 2)]
    duration = (time.perf_counter() - started) * 1000
    extra = {"user.id": user, "pairs": len(pairs), "duration_ms": duration}
    logger.log(logging.WARNING if duration > 100 else logging.INFO, "duplicates_compared", extra=extra)
    return sorted(pairs, key=lambda pair: -float(str(pair["likeness"])))[:3]


def compare(left: str, right: str) -> dict[str, object]:
    likeness = difflib.SequenceMatcher(None, left, right, autojunk=False).ratio()
    return {"left": left, "right": right, "likeness": round(likeness, 3)}


@app.get("/documents/{number}")
def document(number: int, user: UserId = "anonymous") -> Upload:
    if not 0 <= number < len(library.documents):
        logger.warning("document_not_found", extra={"user.id": user, "document.id": number})
        raise HTTPException(404, f"no document {number}")
    found = library.documents[number]
    return Upload(title=found.title, text=found.text)
