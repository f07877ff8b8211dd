"""What one token asks, however much, leaves room for what others ask."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from ganglion_query.api.problems import BusyError
from ganglion_query.api.turns import Room

from tests.fix_collector import eventually
from tests.query.database import locked
from tests.query.serving import Serving, served
from tests.query.telemetry import Sent, log, store

BUSY, OTHER = "token-of-who-asks-much", "token-of-somebody-else"


@pytest.fixture
def dsn(postgresql: str) -> str:
    asyncio.run(store(postgresql, Sent("shop", [], [log("first", at=datetime.now(UTC))])))
    return postgresql


@pytest.fixture
def serving(dsn: str) -> Iterator[Serving]:
    """With a share of one question for each token."""
    with served(dsn, connections=2, tokens=[{"token": BUSY}, {"token": OTHER}]) as running:
        yield running


def test_who_asks_much_waits_and_others_are_answered(serving: Serving, dsn: str) -> None:
    with ThreadPoolExecutor() as threads:
        with locked(dsn) as database:
            asked = [threads.submit(serving.get, "/api/v1/logs", BUSY) for _ in range(4)]
            eventually(lambda: database.waiting() == 1)
            assert serving.get("/jaeger/api/services", OTHER).status_code == 200
            assert database.waiting() == 1
        assert [one.result(15).status_code for one in asked] == [200] * 4


def test_whose_turn_does_not_come_is_told_to_try_again(
    serving: Serving, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganglion_query.api.turns._PATIENCE", 0.1)
    with ThreadPoolExecutor() as threads, locked(dsn) as database:
        first = threads.submit(serving.get, "/api/v1/logs", BUSY)
        eventually(lambda: database.waiting() == 1)
        second = serving.get("/api/v1/services", BUSY)
        assert (second.status_code, second.headers["retry-after"]) == (503, "2")
        assert "too many questions at once with this token" in second.json()["detail"]
        assert not first.done()


def test_who_follows_the_logs_can_ask_as_well(serving: Serving) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            headers = {"authorization": f"Bearer {BUSY}"}
            tail = stack.enter_context(serving.client.stream("GET", "/api/v1/logs/tail", headers=headers))
            assert tail.status_code == 200
        assert serving.get("/api/v1/logs", BUSY).status_code == 200


def test_without_tokens_all_there_is_may_be_asked_at_once(dsn: str) -> None:
    with served(dsn, connections=2) as running, ThreadPoolExecutor() as threads:
        with locked(dsn) as database:
            asked = [threads.submit(running.get, "/api/v1/logs") for _ in range(2)]
            eventually(lambda: database.waiting() == 2)
        assert [one.result(15).status_code for one in asked] == [200] * 2


def test_half_of_a_room_is_for_others() -> None:
    room = Room(4, "full")
    with room.entered(b"a"), room.entered(b"a"):
        with pytest.raises(BusyError, match="full with this token; try again"), room.entered(b"a"):
            pass
        with room.entered(b"b"), room.entered(None), pytest.raises(BusyError, match="full; try again"):
            room.entered(None).__enter__()
    with room.entered(b"a"):
        pass
