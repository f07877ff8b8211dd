"""A LangSmith of a test's own."""

from collections.abc import Iterator

import pytest

from tests.langsmith_server import LangSmithServer


@pytest.fixture
def langsmith_server() -> Iterator[LangSmithServer]:
    with LangSmithServer() as running:
        yield running
