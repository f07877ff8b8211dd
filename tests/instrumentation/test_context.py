"""Bound fields: where they reach, and where they do not."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import ganglion
import pytest
from ganglion import _threads
from ganglion.testing import capture
from opentelemetry import trace


@pytest.fixture(autouse=True)
def nothing_bound() -> Iterator[None]:
    ganglion.unbind(*ganglion.context())
    yield
    ganglion.unbind(*ganglion.context())


@pytest.fixture
def handed_over() -> Iterator[None]:
    _threads.install()
    yield
    _threads.uninstall()


def user() -> str | None:
    return ganglion.context().get("user_id")


def test_bind_adds_and_unbind_takes_away() -> None:
    ganglion.bind(user_id="u1", tenant_id="t1")
    ganglion.bind(user_id="u2")
    ganglion.unbind("tenant_id", "never_bound")

    assert dict(ganglion.context()) == {"user_id": "u2"}


def test_none_takes_a_field_away() -> None:
    ganglion.bind(user_id="u1", session_id="s1")
    ganglion.bind(user_id=None)

    assert dict(ganglion.context()) == {"session_id": "s1"}


def test_what_was_returned_does_not_change() -> None:
    before = ganglion.context()
    ganglion.bind(user_id="u1")

    assert dict(before) == {}
    with pytest.raises(TypeError):
        before["user_id"] = "other"  # type: ignore[index]


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "text"),
    [(42, "42"), ("x" * 5000, "x" * 1024), ("\ud800", "?"), (Broken(), "<Broken>"), ("", "")],
    ids=["number", "long", "surrogate", "broken", "empty"],
)
def test_any_value_becomes_a_text_that_can_be_sent(value: object, text: str) -> None:
    ganglion.bind(user_id=value)

    assert user() == text


def test_bound_gives_back_what_was_there() -> None:
    ganglion.bind(user_id="outer")
    with ganglion.bound(user_id="inner", request_id="r1"):
        ganglion.bind(tenant_id="t1")
        assert dict(ganglion.context()) == {"user_id": "inner", "request_id": "r1", "tenant_id": "t1"}

    assert dict(ganglion.context()) == {"user_id": "outer", "tenant_id": "t1"}


async def test_bound_is_for_coroutines_too() -> None:
    async with ganglion.bound(user_id="u1"):
        await asyncio.sleep(0)
        assert user() == "u1"

    assert user() is None


def test_bound_ends_with_an_exception() -> None:
    with pytest.raises(KeyError), ganglion.bound(user_id="u1"):
        raise KeyError

    assert user() is None


async def test_a_task_inherits_and_its_own_fields_stay_in_it() -> None:
    ganglion.bind(user_id="u1")

    async def work(request: str) -> dict[str, str]:
        ganglion.bind(request_id=request)
        await asyncio.sleep(0)
        return dict(ganglion.context())

    found = list(await asyncio.gather(work("r1"), work("r2")))

    assert found == [{"user_id": "u1", "request_id": "r1"}, {"user_id": "u1", "request_id": "r2"}]
    assert dict(ganglion.context()) == {"user_id": "u1"}


def in_thread(work: Callable[[], str | None]) -> str | None:
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


class Worker(threading.Thread):
    found: str | None = None

    def run(self) -> None:
        self.found = user()


@pytest.mark.usefixtures("handed_over")
def test_a_thread_inherits() -> None:
    ganglion.bind(user_id="u1")
    worker = Worker()
    worker.start()
    worker.join()

    assert in_thread(user) == "u1"
    assert worker.found == "u1"
    assert "run" not in vars(worker)


@pytest.mark.usefixtures("handed_over")
def test_a_timer_inherits() -> None:
    ganglion.bind(user_id="u1")
    found: list[str | None] = []
    timer = threading.Timer(0, lambda: found.append(user()))
    timer.start()
    timer.join()

    assert found == ["u1"]


@pytest.mark.usefixtures("handed_over")
def test_what_a_thread_binds_stays_in_it() -> None:
    in_thread(lambda: ganglion.bind(user_id="thread"))

    assert user() is None


@pytest.mark.usefixtures("handed_over")
def test_each_job_of_a_pool_has_the_context_of_who_submits_it() -> None:
    with ThreadPoolExecutor(max_workers=1) as pool:
        with ganglion.bound(user_id="u1"):
            first = pool.submit(user)
        second = pool.submit(user)
        with ganglion.bound(user_id="u3"):
            third = list(pool.map(lambda _: user(), [1, 2]))

        assert [first.result(), second.result(), third] == ["u1", None, ["u3", "u3"]]


@pytest.mark.usefixtures("handed_over")
def test_a_thread_of_a_pool_keeps_nothing_of_the_request_that_made_it() -> None:
    found: list[str | None] = []
    ganglion.bind(user_id="u1")
    with ThreadPoolExecutor(max_workers=1, initializer=lambda: found.append(user())) as pool:
        pool.submit(user).result()

    assert found == [None]


@pytest.mark.usefixtures("handed_over")
async def test_run_in_executor_and_to_thread_inherit() -> None:
    loop = asyncio.get_running_loop()
    with ganglion.bound(user_id="u1"):
        found = [await loop.run_in_executor(None, user), await asyncio.to_thread(user)]

    assert found == ["u1", "u1"]
    assert await loop.run_in_executor(None, user) is None


@pytest.mark.usefixtures("handed_over")
def test_the_current_span_goes_along() -> None:
    with capture(), ganglion.trace_span("work") as span:
        expected = f"{span.get_span_context().trace_id:032x}"

        assert in_thread(ganglion.current_trace_id) == expected


@pytest.mark.usefixtures("handed_over")
def test_a_pool_reports_what_a_job_raises() -> None:
    with ThreadPoolExecutor(max_workers=1) as pool, pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result()


def test_install_is_safe_twice_and_undone() -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    _threads.install()
    _threads.install()
    _threads.uninstall()
    _threads.uninstall()

    assert (threading.Thread.start, ThreadPoolExecutor.submit) == (start, submit)


def test_a_generator_has_the_context_of_who_iterates() -> None:
    def users() -> Iterator[str | None]:
        while True:
            yield user()

    iterator = users()
    with ganglion.bound(user_id="u1"):
        first = next(iterator)

    assert [first, next(iterator)] == ["u1", None]


def test_every_span_has_the_fields_by_their_semantic_convention() -> None:
    with (
        capture() as captured,
        ganglion.bound(user_id="u1", session_id="s1", tenant_id="t1", request_id="r1", plan="pro"),
    ):
        trace.get_tracer("test").start_span("work", attributes={"user.id": "explicit"}).end()

    assert captured.spans[0]["attributes"] == {
        "user.id": "explicit",
        "session.id": "s1",
        "tenant.id": "t1",
        "request.id": "r1",
        "plan": "pro",
    }


def test_bind_marks_the_span_that_is_open() -> None:
    with capture() as captured, trace.get_tracer("test").start_as_current_span("request"):
        ganglion.bind(user_id="u1")

    assert captured.spans[0]["attributes"] == {"user.id": "u1"}


async def test_a_hundred_requests_at_once_are_not_mixed_up() -> None:
    async def request(number: int) -> list[str]:
        with ganglion.bound(user_id=number):
            found = [user()]
            await asyncio.sleep(0)
            found.append(await asyncio.create_task(asyncio.to_thread(user)))
            return [one or "" for one in found]

    with capture():
        found = await asyncio.gather(*map(request, range(100)))

    assert found == [[str(number)] * 2 for number in range(100)]
