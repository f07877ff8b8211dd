"""A small chain of langchain-core: prompt, models, retriever, tool, parser, failures, streams; no network.

With an argument it runs under that instrumentation: `openinference`.
"""

import asyncio
import sys
from importlib import import_module
from typing import Any

import ganglion
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool

ganglion.configure(service_name="chains")


class Shelf(BaseRetriever):
    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - the base class gives it
    ) -> list[Document]:
        return [Document(page_content=f"about {query}", metadata={"source": "a.txt", "score": 0.5}, id="doc-1")]


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


def model(*messages: AIMessage) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter(messages))


REPLY = AIMessage(
    content="It rains.",
    tool_calls=[{"name": "weather", "args": {"city": "Köln"}, "id": "call_1"}],
    response_metadata={"model_name": "gpt-4o-mini", "finish_reason": "stop"},
    usage_metadata={
        "input_tokens": 11,
        "output_tokens": 7,
        "total_tokens": 18,
        "input_token_details": {"cache_read": 3},
        "output_token_details": {"reasoning": 2},
    },
)


def broken(_: Any) -> str:
    raise ValueError("no luck")


def double(number: int) -> int:
    return number * 2


def main() -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Use {context}."), ("human", "{question}")])
    chain = (
        RunnablePassthrough.assign(context=RunnableLambda(lambda given: given["question"]) | Shelf())
        | prompt
        | model(REPLY)
        | StrOutputParser()
    )
    config: Any = {"run_name": "rag", "tags": ["demo"], "metadata": {"session_id": "thread-7", "version": 3}}
    chain.invoke({"question": "why?"}, config)
    weather.invoke({"city": "Köln"})
    weather.invoke({"name": "weather", "args": {"city": "Bonn"}, "id": "call_2", "type": "tool_call"})
    spare: RunnableLambda[Any, str] = RunnableLambda(lambda _: "ok", name="spare")
    RunnableLambda(broken, name="broken").with_fallbacks([spare]).invoke({"a": 1})
    FakeListLLM(responses=["plain text"]).invoke("complete this", {"run_name": "completion"})
    list(
        (prompt | model(AIMessage("one two three"))).stream({"context": "c", "question": "q"}, {"run_name": "streamed"})
    )
    RunnableLambda(double).batch([1, 2])
    asyncio.run(model(AIMessage("async")).ainvoke([HumanMessage("hello")], {"run_name": "awaited"}))


if __name__ == "__main__":
    if sys.argv[1:] == ["openinference"]:
        import_module("openinference.instrumentation.langchain").LangChainInstrumentor().instrument()
    main()
