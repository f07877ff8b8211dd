"""The stand-in for LangSmith, asked by langsmith's own client and by hand."""

from typing import Any

import langsmith
import pytest
from langsmith import traceable, tracing_context
from urllib3 import Retry

from tests.langsmith_server import LangSmithServer


def client(server: LangSmithServer, **settings: Any) -> langsmith.Client:
    return langsmith.Client(api_url=server.url, api_key="key", retry_config=Retry(total=0), **settings)


def traced(server: LangSmithServer) -> None:
    """Run a small traced program, which uploads in the background."""

    @traceable(run_type="llm", tags=["fast"], metadata={"ls_provider": "openai"})
    def chat(messages: list[dict[str, str]]) -> dict[str, Any]:
        return {"role": "assistant", "content": messages[0]["content"].upper()}

    @traceable(run_type="tool")
    def fail() -> None:
        raise ValueError("boom")

    @traceable
    def root(question: str) -> Any:
        with pytest.raises(ValueError, match="boom"):
            fail()
        return chat([{"role": "user", "content": question}])

    uploading = client(server)
    with tracing_context(enabled=True, client=uploading, project_name="demo"):
        root("why?")
    uploading.flush()
    uploading.cleanup()


def test_traceable_runs_arrive_complete(langsmith_server: LangSmithServer) -> None:
    server = langsmith_server
    traced(server)
    (tree,) = server.trees()
    assert tree.outline() == {"root": ["fail", "chat"]}
    assert {run.project for run in tree.walk()} == {"demo"}
    assert all(run.end for run in tree.walk())
    chat = server.run("chat")
    assert (chat.run_type, chat.tags, chat.metadata["ls_provider"]) == ("llm", ["fast"], "openai")
    assert chat.inputs == {"messages": [{"role": "user", "content": "why?"}]}
    assert chat.outputs["content"] == "WHY?"
    assert "boom" in (server.run("fail").error or "")
