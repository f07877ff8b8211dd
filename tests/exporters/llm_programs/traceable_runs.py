"""Everything that a service does with langsmith's `@traceable`, in one trace, and beside it runs that stand alone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import ganglion
from langsmith import RunTree, get_current_run_tree, trace, traceable

ganglion.configure(service_name="answers")


@traceable(run_type="retriever")
def search(query: str) -> list[dict[str, Any]]:
    return [{"page_content": f"about {query}", "type": "Document", "metadata": {"source": "a.txt", "score": 0.5}}]


@traceable(run_type="embedding", metadata={"ls_provider": "openai", "ls_model_name": "text-embedding-3-small"})
def embed(texts: list[str]) -> list[list[float]]:
    return [[0.25, float(len(text))] for text in texts]


@traceable(run_type="prompt")
def prompt(question: str, documents: list[dict[str, Any]]) -> dict[str, Any]:
    content = f"{documents[0]['page_content']}\n{question}"
    return {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]}


@traceable(
    run_type="llm",
    tags=["fast", "cheap"],
    metadata={
        "ls_provider": "openai",
        "ls_model_name": "gpt-4o-mini",
        "ls_model_type": "chat",
        "ls_temperature": 0.2,
        "nested": {"a": [1, 2]},
        "flag": True,
    },
)
def chat(messages: list[dict[str, Any]], model: str = "gpt-4o-mini", temperature: float = 0.2) -> dict[str, Any]:
    tool_call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}}
    return {
        "messages": [
            {
                "role": "assistant",
                "content": f"{model} at {temperature}: {len(messages)}",
                "tool_calls": [tool_call],
            }
        ],
        "usage_metadata": {
            "input_tokens": 11,
            "output_tokens": 7,
            "total_tokens": 18,
            "input_token_details": {"cache_read": 3},
            "output_token_details": {"reasoning": 2},
        },
    }


@traceable(run_type="tool")
def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city} ☔"


@traceable(run_type="parser")
def parse(text: str) -> dict[str, int]:
    return {"length": len(text)}


@traceable(
    run_type="llm", reduce_fn="".join, metadata={"ls_provider": "anthropic", "ls_model_name": "claude-sonnet-4-5"}
)
def stream(messages: list[dict[str, str]]) -> Iterator[str]:
    yield from ("It ", "rains ", f"{len(messages)} times.")


@traceable(reduce_fn=lambda numbers: {"sum": sum(numbers)})
async def astream(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@traceable
async def parallel(numbers: list[int]) -> list[int]:
    @traceable(name="doubled")
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    return list(await asyncio.gather(*map(double, numbers)))


@traceable(run_type="tool")
def fail(reason: str) -> None:
    raise ValueError(f"no {reason}")


@traceable
def nothing() -> None:
    run = get_current_run_tree()
    assert run is not None
    run.add_tags(["late"])
    run.add_metadata({"added": "later"})
    run.add_event({"name": "checked", "time": "2026-11-20T12:00:00.000000+00:00", "kwargs": {"by": "hand"}})


@traceable(name="answer", metadata={"session_id": "thread-7", "user_id": "ada"}, tags=["rag"])
def answer(question: str, *, options: dict[str, Any] | None = None) -> dict[str, Any]:
    found = chat(prompt(question, search(question))["messages"])
    embed([question, "other"])
    parse(weather("Köln"))
    "".join(stream([{"role": "user", "content": question}]))
    asyncio.run(consume())
    asyncio.run(parallel([1, 2]))
    try:
        fail("luck")
    except ValueError:
        nothing()
    return {"answer": found["messages"][0]["content"], "options": options}


async def consume() -> None:
    async for _ in astream(3):
        pass


def alone() -> None:
    with trace("block", "chain", inputs={"a": 1}, project_name="other", tags=["t"], metadata={"m": 1.5}) as run:
        run.end(outputs={"b": [1, None, "x"]})
    tree = RunTree(name="by hand", run_type="chain", inputs={"n": None}, project_name="other")
    child = tree.create_child(name="child by hand", run_type="tool", inputs={"big": 2**53})
    tree.post()
    child.post()
    child.end(error="it broke")
    child.patch()
    tree.end(outputs={"done": True})
    tree.patch()


if __name__ == "__main__":
    answer("why?", options={"limit": 3})
    alone()
