"""What the example RAG service's parts promise, without a server."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
from ganglion.testing import capture

from examples.rag_service import app
from examples.rag_service.documents import Document, UnreadableDocumentError, parse
from examples.rag_service.evaluation import evaluate
from examples.rag_service.generation import NOTHING_FOUND, RateLimitedError, TokenBudgetError
from examples.rag_service.ingestion import CHUNK_TOKENS, cut
from examples.rag_service.memory import Memory
from examples.rag_service.models import EMBEDDING, GENERATION, generation_model
from examples.rag_service.service import Caller, Service
from examples.rag_service.store import StoreUnavailableError
from examples.rag_service.switches import FAULTS, NORMAL, chosen
from examples.rag_service.text import content_words, count_tokens, sentences

ADA = Caller("acme", "ada", "1")
BARBARA = Caller("globex", "barbara", "1")
LIGHTHOUSE = b"# Lighthouse\n\nThe keeper lights the lamp at dusk. A storm bell hangs beside the door.\n"
ASKED = "When does the keeper light the lamp?"


async def quiet(_piece: str) -> None: ...


@pytest.fixture
async def service() -> Service:
    made = Service()
    await made.upload(ADA, "lighthouse.md", LIGHTHOUSE, NORMAL)
    return made


@pytest.mark.parametrize(
    ("file", "content", "heading", "text"),
    [
        ("a.txt", "\ufeffThe lamp.", "", "The lamp."),
        ("a.md", "# Lamp #\n\n- one\n- **two**\n\n```sh\nmake up\n```", "Lamp", "one\n\n\ntwo\n\n\n\n\nmake up"),
        ("a.MD", "| key | says |\n|---|---|\n| a | b |", "", "a; b"),
        ("a.html", "<title>Lamp</title><style>p {}</style><p>It &amp; we</p><script>1</script>", "Lamp", "It & we"),
        ("a.json", '[{"title": "Lamp", "tags": ["old", null], "at": 3}]', "Lamp", "title: Lamp\n\ntags: old\n\nat: 3"),
        ("a.csv", 'name,year\n"Lamp, old",1890\n', "", "name: Lamp, old; year: 1890"),
    ],
    ids=["txt", "md", "table", "html", "json", "csv"],
)
def test_a_file_of_each_format_is_read(file: str, content: str, heading: str, text: str) -> None:
    assert parse(file, content.encode()) == [Document(file, heading, text)]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("a.pdf", b"%PDF", "must be one of txt, md, html, json, csv"),
        ("", b"text", "must be one of"),
        ("a.txt", b"  \n", "no text in it"),
        ("a.txt", b"caf\xe9", "not UTF-8 at byte 3"),
        ("a.json", b'{"title": ', "line 1 column 11"),
        ("a.json", b"[" * 100_000, "recursion"),
        ("a.csv", b'a,b\n"1,2', "unexpected end of data"),
        ("a.html", b"<p></p>", "no text in it"),
    ],
    ids=["format", "no name", "blank", "latin-1", "truncated", "deep", "open quote", "no text"],
)
def test_a_file_that_cannot_be_read_says_why(file: str, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocumentError, match=reason):
        parse(file, content)


HOSTILE = [text * 60_000 for text in (" ", "\n", "<!--", "# ", "|", "- ", ". ", "<p>", "&", "-->")]


@pytest.mark.parametrize("file", ["a.md", "a.txt", "a.html"])
@pytest.mark.parametrize("content", HOSTILE, ids=[repr(text[:4].strip()) for text in HOSTILE])
def test_a_hostile_file_is_read_in_bounded_time(file: str, content: str) -> None:
    documents = parse(file, f"start\n{content}".encode())
    chunks = [chunk for document in documents for chunk in cut(document)]
    assert chunks[0].text.startswith("start")


def test_chunks_hold_whole_sentences_and_are_never_larger_than_they_may() -> None:
    text = " ".join(f"Sentence {number} is about lamp number {number}." for number in range(60)) + " " + "x" * 5000
    chunks = list(cut(Document("a.txt", "", text)))
    assert len(chunks) > 2
    assert max(chunk.tokens for chunk in chunks) <= CHUNK_TOKENS
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())


def test_alike_texts_lie_near() -> None:
    lamp, lamps, bell = EMBEDDING.embed(["the keeper lights a lamp", "lamps lit by keepers", "a storm bell"])
    assert lamp @ lamps > 0.3 > lamp @ bell
    assert np.linalg.norm(lamp) == pytest.approx(1)


def test_text_is_cut_into_sentences_words_and_tokens() -> None:
    assert sentences("Dr. Who? No: `x` is 3.5 wide.\nStill.") == ["Dr.", "Who?", "No:", "`x` is 3.5 wide.", "Still."]
    assert content_words("The logs are kept; storing costs") == ["log", "kept", "stor", "cost"]
    assert [count_tokens(text) for text in ("", "lamp", "lighthouse", "a, b")] == [0, 1, 2, 3]


async def test_an_answer_comes_from_its_source(service: Service) -> None:
    answer = await service.answer(ADA, ASKED, NORMAL, quiet)
    assert answer.generated.text == "The keeper lights the lamp at dusk."
    assert [chunk.id for chunk in answer.generated.sources] == ["lighthouse.md#0"]
    assert answer.evaluation.scores["faithfulness"] == 1
    assert answer.evaluation.tier == "good"


async def test_an_answer_is_written_piece_by_piece(service: Service) -> None:
    pieces: asyncio.Queue[str] = asyncio.Queue()
    question = "When does the keeper light the lamp, and where does the bell hang?"
    answer = await service.answer(ADA, question, NORMAL, pieces.put)
    written = [pieces.get_nowait() for _ in range(pieces.qsize())]
    assert len(written) == 2
    assert "".join(written).strip() == answer.generated.text


async def test_a_tenant_finds_nothing_of_another(service: Service) -> None:
    answer = await service.answer(BARBARA, ASKED, NORMAL, quiet)
    assert answer.generated.text == NOTHING_FOUND
    assert answer.evaluation.tier == "poor"


async def test_a_file_uploaded_again_replaces_what_it_was(service: Service) -> None:
    await service.answer(ADA, ASKED, NORMAL, quiet)
    await service.upload(ADA, "lighthouse.md", b"The keeper lights the lamp at noon.", NORMAL)
    answer = await service.answer(ADA, ASKED, NORMAL, quiet)
    assert answer.generated.text == "The keeper lights the lamp at noon."
    assert service.store.files("acme") == {"lighthouse.md": 1}


async def test_a_short_question_is_about_the_one_before(service: Service) -> None:
    await service.answer(ADA, "Where does the storm bell hang?", NORMAL, quiet)
    answer = await service.answer(ADA, "And why?", NORMAL, quiet)
    assert "storm bell" in answer.generated.text


@pytest.mark.parametrize(
    ("fault", "error"),
    [("fail", StoreUnavailableError), ("budget", TokenBudgetError), ("rate_limit", RateLimitedError)],
)
async def test_a_switch_makes_it_fail_and_leaves_nothing(service: Service, fault: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await service.answer(ADA, ASKED, FAULTS[fault], quiet)
    assert (await service.answer(ADA, ASKED, NORMAL, quiet)).evaluation.tier == "good"


async def test_a_question_too_long_for_the_window_is_refused_without_a_switch(service: Service) -> None:
    with pytest.raises(TokenBudgetError, match="0 are left for sources"):
        await service.answer(ADA, ASKED + " lamp" * 3000, NORMAL, quiet)


async def test_a_failed_upload_stores_nothing() -> None:
    service = Service()
    with pytest.raises(StoreUnavailableError):
        await service.upload(ADA, "lighthouse.md", LIGHTHOUSE, FAULTS["fail"])
    assert service.store.files("acme") == {}


async def test_an_invented_sentence_is_not_borne_out(service: Service) -> None:
    answer = await service.answer(ADA, ASKED, FAULTS["hallucinate"], quiet)
    assert list(answer.evaluation.unsupported) == [FAULTS["hallucinate"].invention]
    assert answer.evaluation.scores["faithfulness"] == 0.5


async def test_precision_falls_when_useless_sources_come_first(service: Service) -> None:
    found = (await service.answer(ADA, ASKED, NORMAL, quiet)).found
    (useful,) = found.chunks
    (useless,) = cut(Document("b.txt", "", "Nothing about it is in here."))
    judged = evaluate(ASKED, "The keeper lights the lamp at dusk.", [useless, useful], found.index)
    assert judged.scores["context_precision"] == 0.5


def test_old_turns_become_a_summary_of_bounded_size() -> None:
    memory = Memory()
    for number in range(100):
        memory.store("session", f"What is number {number}?", f"Number {number} is a number. " + "It goes on. " * 5)
    kept = memory.history("session")
    assert kept.turns[-1][0] == "What is number 99?"
    assert "What is number 97?" in kept.text
    assert kept.tokens < 200


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app.app), base_url="http://rag") as made:
        answer = await made.post("/documents", files={"file": ("lighthouse.md", LIGHTHOUSE)})
        assert answer.json()["chunks"] == 1
        yield made


@pytest.mark.parametrize("path", ["/ask", "/ask/stream"])
@pytest.mark.parametrize(("fault", "status"), [("fail", 503), ("budget", 422), ("rate_limit", 429), ("explode", 400)])
async def test_a_failure_has_its_status_also_where_the_answer_would_be_streamed(
    client: httpx.AsyncClient, path: str, fault: str, status: int
) -> None:
    response = await client.post(path, json={"question": ASKED}, headers={"X-Demo-Fault": fault})
    assert response.status_code == status
    assert ("retry-after" in response.headers) == (status in {429, 503})


async def test_a_streamed_answer_ends_with_all_that_is_known_of_it(client: httpx.AsyncClient) -> None:
    whole = (await client.post("/ask", json={"question": ASKED}, headers={"X-Session-ID": "whole"})).json()
    response = await client.post("/ask/stream", json={"question": ASKED}, headers={"X-Session-ID": "stream"})
    piece, answer = response.text.strip().split("\n\n")
    assert json.loads(piece.removeprefix("event: piece\ndata: ")).strip() == whole["answer"]
    own = {"trace_id", "trace_url"}  # each request has its own
    streamed = json.loads(answer.removeprefix("event: answer\ndata: "))
    assert streamed.keys() == whole.keys()
    assert all(streamed[name] == whole[name] for name in whole.keys() - own)


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [("a.txt", b"x" * 2_000_001, 413), ("x" * 201 + ".txt", b"lamp", 422), ("../../a.exe", b"MZ", 422)],
    ids=["too large", "long name", "format"],
)
async def test_a_file_that_is_not_taken_is_answered(
    client: httpx.AsyncClient, name: str, content: bytes, status: int
) -> None:
    response = await client.post("/documents", files={"file": (name, content)})
    assert response.status_code == status
    assert (await client.get("/documents")).json() == {"lighthouse.md": 1}


async def test_who_stops_reading_stops_the_answer() -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    answering = asyncio.create_task(asyncio.Event().wait())
    events = app._events("first", pieces, answering)  # type: ignore[arg-type]
    assert json.loads((await anext(events)).splitlines()[1].removeprefix("data: ")) == "first"
    await events.aclose()  # type: ignore[attr-defined]
    with pytest.raises(asyncio.CancelledError):
        await answering


async def test_a_cancelled_answer_is_not_remembered(service: Service) -> None:
    writing = asyncio.Event()

    async def stuck(_piece: str) -> None:
        writing.set()
        await asyncio.Event().wait()

    answering = asyncio.create_task(service.answer(ADA, ASKED, NORMAL, stuck))
    await writing.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    answer = await service.answer(ADA, "And why?", NORMAL, quiet)
    assert answer.generated.text == NOTHING_FOUND


def test_an_unknown_fault_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="slow, fail, budget, rate_limit, hallucinate"):
        chosen("explode")
    assert chosen(None) is chosen("none") is NORMAL


def test_the_smaller_model_costs_less_and_says_less() -> None:
    mini = generation_model("extractive-1-mini")
    assert mini.cost_usd(1000, 100) < GENERATION.cost_usd(1000, 100) / 4
    assert mini.answer_sentences < GENERATION.answer_sentences
    with pytest.raises(ValueError, match="there are extractive-1, extractive-1-mini"):
        generation_model("gpt-9")


def test_every_span_and_log_of_a_request_says_how_large_chunks_are() -> None:
    with capture() as captured:
        asyncio.run(Service().upload(ADA, "lighthouse.md", LIGHTHOUSE, NORMAL))
    told = [one["attributes"].get("chunk_size") for one in (*captured.spans, *captured.logs)]
    assert set(told) == {str(CHUNK_TOKENS)}
