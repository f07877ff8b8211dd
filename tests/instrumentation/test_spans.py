"""trace_span and traced: spans, their logs, and contexts that do not leak."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import ganglion
import pytest
from ganglion.testing import Captured, capture
from opentelemetry import trace


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture() as captured:
        yield captured


def span(captured: Captured, name: str) -> dict[str, Any]:
    return next(one for one in captured.spans if one["name"] == name)


def messages(captured: Captured) -> list[str]:
    return [record["message"] for record in captured.logs]


def test_a_block_is_a_span_with_a_beginning_and_an_end(captured: Captured) -> None:
    with ganglion.trace_span("file_parsing", size=3, user_id="u1"):
        pass

    started, completed = captured.logs
    assert span(captured, "file_parsing")["attributes"] == {"size": 3, "user.id": "u1"}
    assert (started["message"], started["level"], started["logger"]) == ("file_parsing_started", "INFO", __name__)
    assert started["attributes"] == {"size": 3, "user.id": "u1"}
    assert completed["message"] == "file_parsing_completed"
    assert completed["attributes"]["duration_ms"] >= 0
    assert completed["span_id"] == span(captured, "file_parsing")["span_id"]


async def test_it_is_for_coroutines_too(captured: Captured) -> None:
    async with ganglion.trace_span("outer"):
        await asyncio.sleep(0)
        async with ganglion.trace_span("inner"):
            await asyncio.sleep(0)

    assert span(captured, "inner")["parent_span_id"] == span(captured, "outer")["span_id"]
    assert ganglion.current_trace_id() is None


def test_an_exception_is_recorded_once_and_logged_by_each(captured: Captured) -> None:
    with pytest.raises(ValueError, match="wrong"), ganglion.trace_span("outer"), ganglion.trace_span("inner"):
        raise ValueError("wrong")

    inner, outer = span(captured, "inner"), span(captured, "outer")
    assert [(one["status"], one["status_message"]) for one in (inner, outer)] == [("ERROR", "ValueError: wrong")] * 2
    assert [one["attributes"] for one in (inner, outer)] == [{"error.type": "ValueError"}] * 2
    assert [event["name"] for event in inner["events"]] == ["exception"]
    assert outer["events"] == []
    assert messages(captured)[2:] == ["inner_failed", "outer_failed"]
    first, second = captured.logs[2:]
    assert (first["level"], first["attributes"]["exception.message"]) == ("ERROR", "wrong")
    assert second["attributes"]["error"] == "ValueError: wrong"
    assert "exception.stacktrace" not in second["attributes"]


def test_the_same_exception_in_another_trace_is_recorded_again(captured: Captured) -> None:
    error = ValueError("always the same")
    for name in ("first", "second"):
        with pytest.raises(ValueError, match="same"), ganglion.trace_span(name):
            raise error

    assert [len(one["events"]) for one in captured.spans] == [1, 1]


class SilentError(Exception):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_broken_exception_passes_through(captured: Captured) -> None:
    with pytest.raises(SilentError), ganglion.trace_span("work"):
        raise SilentError

    assert span(captured, "work")["attributes"]["error.type"].endswith(".SilentError")


async def test_a_cancelled_task_is_a_warning(captured: Captured) -> None:
    running = asyncio.Event()

    async def work() -> None:
        async with ganglion.trace_span("work"):
            running.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await running.wait()
    task.cancel()
    await asyncio.wait([task])

    assert [(record["message"], record["level"]) for record in captured.logs[1:]] == [("work_failed", "WARNING")]
    assert task.cancelled()


def test_attributes_of_any_kind_are_taken(captured: Captured) -> None:
    with ganglion.trace_span("work", tags=["a", "b"], shape={"rows": 2}, nothing=None, own=object):
        pass

    attributes = span(captured, "work")["attributes"]
    assert list(attributes.pop("tags")) == ["a", "b"]
    assert attributes == {"shape": '{"rows":2}', "own": "<class 'object'>"}


def test_traced_functions(captured: Captured) -> None:
    @ganglion.traced
    def double(number: int) -> int:
        """Twice."""
        return 2 * number

    @ganglion.traced("renamed", kind="pdf")
    def other() -> str | None:
        return ganglion.current_trace_id()

    assert (double(3), double.__name__, double.__doc__) == (6, "double", "Twice.")
    assert other() == span(captured, "renamed")["trace_id"]
    code = f"{__name__}.test_traced_functions.<locals>.double"
    assert span(captured, "double")["attributes"] == {"code.function.name": code}
    assert span(captured, "renamed")["attributes"]["kind"] == "pdf"
    assert messages(captured)[-2:] == ["renamed_started", "renamed_completed"]
    assert {record["logger"] for record in captured.logs} == {__name__}


async def test_traced_coroutines(captured: Captured) -> None:
    @ganglion.traced
    async def fetch(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert list(await asyncio.gather(fetch(1), fetch(2))) == [1, 2]
    assert asyncio.iscoroutinefunction(fetch)
    assert [one["parent_span_id"] for one in captured.spans] == [None, None]


class Service:
    @classmethod
    @ganglion.traced
    def made(cls) -> str:
        return cls.__name__

    @ganglion.traced
    def method(self, number: int) -> int:
        return number


def test_methods_are_functions(captured: Captured) -> None:
    assert (Service.made(), Service().method(3)) == ("Service", 3)
    assert len(captured.spans) == 2


@pytest.mark.parametrize("wrong", [classmethod(print), staticmethod(print), int], ids=["class", "static", "type"])
def test_what_is_no_function_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="needs a function"):
        ganglion.traced(wrong)


@ganglion.traced
def numbers(last: int) -> Generator[int, str | None, str]:
    ganglion.bind(user_id="inside")
    said = []
    with ganglion.trace_span("inner"):
        for number in range(last):
            said.append((yield number))
            with ganglion.trace_span("step"):
                pass
    return str(said)


def test_a_generators_span_covers_the_iteration_and_does_not_leak(captured: Captured) -> None:
    with ganglion.trace_span("caller") as caller:
        seen = []
        for _ in numbers(2):
            seen.append(ganglion.current_trace_id())
            with ganglion.trace_span("between"):
                pass
        assert seen == [f"{caller.get_span_context().trace_id:032x}"] * 2
        assert "user_id" not in ganglion.context()

    assert span(captured, "numbers")["parent_span_id"] == span(captured, "caller")["span_id"]
    assert span(captured, "between")["parent_span_id"] == span(captured, "caller")["span_id"]
    assert span(captured, "inner")["parent_span_id"] == span(captured, "numbers")["span_id"]
    assert span(captured, "step")["parent_span_id"] == span(captured, "inner")["span_id"]


def test_a_generator_takes_what_is_sent_and_gives_its_result(captured: Captured) -> None:
    generator = numbers(2)
    next(generator)
    generator.send("a")
    with pytest.raises(StopIteration) as stop:
        generator.send("b")

    assert stop.value.value == "['a', 'b']"
    assert messages(captured)[-1] == "numbers_completed"


def test_a_generator_that_is_closed_early_completes(captured: Captured) -> None:
    generator = numbers(5)
    next(generator)
    generator.close()

    assert span(captured, "numbers")["status"] == "UNSET"
    assert captured.logs[-1]["message"] == "numbers_completed"
    assert captured.logs[-1]["attributes"]["closed_early"] is True


def test_a_generator_into_which_an_exception_is_thrown_fails(captured: Captured) -> None:
    generator = numbers(5)
    next(generator)
    with pytest.raises(KeyError):
        generator.throw(KeyError("thrown"))

    assert span(captured, "numbers")["status"] == "ERROR"


def test_a_generator_that_is_never_started_is_no_span(captured: Captured) -> None:
    numbers(5).close()

    assert captured.spans == []


@ganglion.traced("stream")
async def words(*texts: str) -> AsyncIterator[str]:
    ganglion.bind(user_id="inside")
    with ganglion.trace_span("inner"):
        for text in texts:
            await asyncio.sleep(0)
            if text == "fail":
                raise ValueError(text)
            yield text


async def test_an_async_generators_span_covers_the_iteration_and_does_not_leak(captured: Captured) -> None:
    with ganglion.trace_span("caller"):
        found = []
        async for text in words("a", "b"):
            found.append(text)
            with ganglion.trace_span("between"):
                await asyncio.sleep(0)
        assert "user_id" not in ganglion.context()

    assert found == ["a", "b"]
    assert span(captured, "stream")["parent_span_id"] == span(captured, "caller")["span_id"]
    assert span(captured, "between")["parent_span_id"] == span(captured, "caller")["span_id"]
    assert span(captured, "inner")["parent_span_id"] == span(captured, "stream")["span_id"]


async def test_an_async_generator_that_fails_is_a_failed_span(captured: Captured) -> None:
    with pytest.raises(ValueError, match="fail"):
        _ = [text async for text in words("a", "fail")]

    assert span(captured, "stream")["status"] == "ERROR"
    assert messages(captured)[-2:] == ["inner_failed", "stream_failed"]


async def test_an_async_generator_that_is_closed_early_completes(captured: Captured) -> None:
    stream: Any = words("a", "b")
    assert await anext(stream) == "a"
    await stream.aclose()

    assert span(captured, "stream")["status"] == "UNSET"
    assert messages(captured)[-1] == "stream_completed"


async def test_two_async_generators_of_one_task_do_not_disturb_each_other(captured: Captured) -> None:
    first, second = words("a", "b"), words("c", "d")
    found = [await anext(one) for one in (first, second, first, second)]

    assert found == ["a", "c", "b", "d"]
    for one in (first, second):
        with pytest.raises(StopAsyncIteration):
            await anext(one)
    assert [one["name"] for one in captured.spans] == ["inner", "stream"] * 2
    assert len({one["trace_id"] for one in captured.spans}) == 2


def test_a_plain_generator_that_is_closed_elsewhere_leaves_the_context_alone(captured: Captured) -> None:
    def plain() -> Iterator[int]:
        with ganglion.trace_span("open"):
            yield 1

    generator: Any = plain()
    with ganglion.trace_span("caller"):
        next(generator)
        with ganglion.trace_span("later") as later:
            generator.close()
            assert trace.get_current_span() is later

    assert "opentelemetry.context" not in {record["logger"] for record in captured.logs}
    assert [one["status"] for one in captured.spans] == ["UNSET"] * 3
