"""How the six layers work together."""

import asyncio
from dataclasses import dataclass

import ganglion

from .evaluation import Evaluation, evaluate
from .generation import Emit, Generated, Generator, Prompt
from .ingestion import CHUNK_TOKENS, Upload, ingest
from .memory import Memory
from .retrieval import Found, Query, Retriever
from .store import Chunk, Store
from .switches import Switches

__all__ = ["Answer", "Caller", "Service"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    tenant: str
    user: str
    session: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with all that led to it."""

    found: Found
    generated: Generated
    evaluation: Evaluation


class Service:
    """Everything lives in this process and is gone with it."""

    def __init__(self) -> None:
        self.store = Store()
        self._retriever = Retriever(self.store)
        self._generator = Generator()
        self._memory = Memory()

    async def upload(self, caller: Caller, file: str, content: bytes, switches: Switches) -> list[Chunk]:
        ganglion.bind(chunk_size=CHUNK_TOKENS)
        upload = Upload(caller.tenant, caller.user, file, content)
        return await asyncio.to_thread(ingest, upload, self.store, switches)

    async def answer(self, caller: Caller, question: str, switches: Switches, emit: Emit) -> Answer:
        """Answer through `emit`; return it with its sources and scores."""
        ganglion.bind(chunk_size=CHUNK_TOKENS)
        history = self._memory.history(caller)
        asked = f"{history.topic(question)} {question}".strip()
        query = Query(caller.tenant, asked)
        found = await asyncio.to_thread(self._retriever.search, query, switches)
        prompt = Prompt(caller.tenant, asked, history.text, found)
        generated = await self._generator.generate(prompt, switches, emit)
        judged = await asyncio.to_thread(evaluate, asked, generated.text, generated.sources, found.index)
        self._memory.store(caller, question, generated.text)
        return Answer(found, generated, judged)
