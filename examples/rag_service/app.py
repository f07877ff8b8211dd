"""The service's requests: files in, answers out. Told who asks by headers; a real service would have them proven."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

import ganglion
from fastapi import Depends, FastAPI, Header, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from .documents import UnreadableDocumentError
from .generation import RateLimitedError, TokenBudgetError
from .own_requests import Asker, router
from .service import Answer, Service
from .store import StoreUnavailableError
from .switches import Switches, chosen

__all__ = ["app"]

_LARGEST_FILE_BYTES = 2_000_000
_LONGEST_NAME = 200

logger = ganglion.get_logger("rag_service")
service = Service()
app = FastAPI(title="RAG service")
app.include_router(router)


class Question(BaseModel):
    question: str = Field(min_length=1, max_length=20_000)


async def switches(x_demo_fault: Annotated[str | None, Header()] = None) -> Switches:
    try:
        return chosen(x_demo_fault or os.environ.get("RAG_FAULT"))
    except ValueError as error:
        raise HTTPException(400, f"X-Demo-Fault: {error}") from error


Chosen = Annotated[Switches, Depends(switches)]


@app.post("/documents", status_code=201)
async def upload_document(file: UploadFile, asker: Asker, chosen: Chosen) -> dict[str, Any]:
    """Take a .txt, .md, .html, .json or .csv file."""
    content = await file.read(_LARGEST_FILE_BYTES + 1)
    if len(content) > _LARGEST_FILE_BYTES:
        raise HTTPException(413, f"a file may have {_LARGEST_FILE_BYTES} bytes")
    name = file.filename or ""
    if len(name) > _LONGEST_NAME:
        raise HTTPException(422, f"a file's name may have {_LONGEST_NAME} characters")
    chunks = await service.upload(asker, name, content, chosen)
    return {"file": name, "chunks": len(chunks), **_trace()}


@app.get("/documents")
async def documents(asker: Asker) -> dict[str, int]:
    return service.store.files(asker.tenant)


@app.post("/ask")
async def ask(question: Question, asker: Asker, chosen: Chosen) -> dict[str, Any]:
    async def emit(_piece: str) -> None: ...

    answer = await service.answer(asker, question.question, chosen, emit)
    logger.info("question_answered", tier=answer.evaluation.tier, cost_usd=answer.generated.cost_usd)
    return _shown(answer)


@app.post("/ask/stream")
async def ask_streaming(question: Question, asker: Asker, chosen: Chosen) -> StreamingResponse:
    """Answer as server-sent events: `piece` for each piece of the text, `answer` at the end with all the rest."""
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    # One task, so one context: the spans of an answer nest the same, whoever reads the stream and however slowly.
    answering = asyncio.create_task(service.answer(asker, question.question, chosen, pieces.put))
    answering.add_done_callback(lambda _done: pieces.put_nowait(None))
    try:
        first = await pieces.get()
    except asyncio.CancelledError:
        answering.cancel()
        raise
    if first is None:
        await answering  # it failed, before a byte was sent: the status can still tell
    return StreamingResponse(_events(first, pieces, answering), media_type="text/event-stream")


async def _events(
    first: str | None, pieces: asyncio.Queue[str | None], answering: asyncio.Task[Answer]
) -> AsyncIterator[str]:
    try:
        piece = first
        while piece is not None:
            yield f"event: piece\ndata: {json.dumps(piece)}\n\n"
            piece = await pieces.get()
        yield f"event: answer\ndata: {json.dumps(_shown(await answering))}\n\n"
    finally:
        answering.cancel()  # where the reader went away


def _shown(answer: Answer) -> dict[str, Any]:
    relevance = {chunk.id: score for score, chunk in answer.found.hits}
    return {
        "answer": answer.generated.text,
        "sources": [
            {"id": chunk.id, "heading": chunk.heading, "relevance": round(relevance[chunk.id], 3)}
            for chunk in answer.generated.sources
        ],
        "scores": dict(answer.evaluation.scores),
        "tier": answer.evaluation.tier,
        "unsupported": list(answer.evaluation.unsupported),
        "tokens": answer.generated.input_tokens + answer.generated.output_tokens,
        "cost_usd": answer.generated.cost_usd,
        **_trace(),
    }


def _trace() -> dict[str, str | None]:
    return {"trace_id": ganglion.current_trace_id(), "trace_url": ganglion.trace_url()}


@app.exception_handler(UnreadableDocumentError)
@app.exception_handler(TokenBudgetError)
@app.exception_handler(RateLimitedError)
@app.exception_handler(StoreUnavailableError)
async def refused(_request: Request, error: Exception) -> JSONResponse:
    """Say what went wrong and where it can be read."""
    match error:
        case RateLimitedError():
            status, headers = 429, {"Retry-After": f"{error.retry_after:.0f}"}
        case StoreUnavailableError():
            status, headers = 503, {"Retry-After": "1"}
        case _:
            status, headers = 422, {}
    return JSONResponse({"error": str(error), **_trace()}, status, headers)
