import asyncio
import threading
from collections.abc import Callable
from contextvars import Context

import pytest
from ganglion.testing import Captured, capture
from opentelemetry import metrics, trace
from opentelemetry._logs import SeverityNumber, get_logger

tracer = trace.get_tracer("tests.capture")
logger = get_logger("tests.capture")
meter = metrics.get_meter("tests.capture")
uploads = meter.create_counter("uploads", unit="1", description="How many")
latency = meter.create_histogram("latency", unit="ms")
level = meter.create_gauge("level")


def names(captured: Captured) -> list[str]:
    return [span["name"] for span in captured.spans]


def messages(captured: Captured) -> list[str]:
    return [record["message"] for record in captured.logs]


def say(message: str) -> None:
    logger.emit(body=message, severity_text="INFO", severity_number=SeverityNumber.INFO, attributes={"rows": 3})


def fail_in_a_span(link: trace.Link) -> None:
    with tracer.start_as_current_span("child", kind=trace.SpanKind.CLIENT, links=[link]) as span:
        span.set_attribute("tags", ["a", "b"])
        raise ValueError("odd")


def elsewhere(function: Callable[[], None]) -> None:
    """Run in a thread that knows nothing of this context, as a server's own thread does."""
    thread = threading.Thread(target=lambda: Context().run(function))
    thread.start()
    thread.join()


def test_a_span_is_a_plain_dict() -> None:
    with capture() as captured, tracer.start_as_current_span("parent") as parent:
        link = trace.Link(parent.get_span_context(), {"why": "retry"})
        with pytest.raises(ValueError, match="odd"):
            fail_in_a_span(link)
    child, ended_parent = captured.spans
    assert child["name"] == "child"
    assert child["kind"] == "CLIENT"
    assert child["attributes"] == {"tags": ["a", "b"]}
    assert child["parent_span_id"] == ended_parent["span_id"]
    assert child["trace_id"] == ended_parent["trace_id"] == f"{parent.get_span_context().trace_id:032x}"
    assert (child["status"], child["status_message"]) == ("ERROR", "ValueError: odd")
    assert [event["attributes"]["exception.type"] for event in child["events"]] == ["ValueError"]
    assert child["links"] == [
        {"trace_id": child["trace_id"], "span_id": ended_parent["span_id"], "attributes": {"why": "retry"}}
    ]
    assert (ended_parent["parent_span_id"], ended_parent["scope"]) == (None, "tests.capture")
    assert child["end_time"] >= child["start_time"] >= ended_parent["start_time"]


def test_a_log_record_is_a_plain_dict_of_its_trace() -> None:
    with capture() as captured, tracer.start_as_current_span("work") as span:
        say("parsed")
    (record,) = captured.logs
    assert (record["level"], record["message"], record["logger"]) == ("INFO", "parsed", "tests.capture")
    assert record["attributes"] == {"rows": 3}
    assert record["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert record["span_id"] == f"{span.get_span_context().span_id:016x}"


def test_metrics_are_those_of_the_capture_alone() -> None:
    uploads.add(100)
    with capture() as captured:
        uploads.add(2, {"format": "pdf"})
        with tracer.start_as_current_span("work"):
            latency.record(7.5)
        level.set(4)
        assert {metric["name"] for metric in captured.metrics} >= {"uploads", "latency", "level"}
        uploads.add(3, {"format": "pdf"})
    uploads.add(100)
    found = {metric["name"]: metric for metric in captured.metrics}
    (point,) = found["uploads"]["points"]
    assert (point["attributes"], point["value"], found["uploads"]["type"]) == ({"format": "pdf"}, 5, "sum")
    (point,) = found["latency"]["points"]
    assert (point["count"], point["sum"], point["min"], point["max"]) == (1, 7.5, 7.5, 7.5)
    assert sum(point["bucket_counts"]) == 1
    assert [exemplar["trace_id"] for exemplar in point["exemplars"]] == [captured.spans[0]["trace_id"]]
    assert found["level"]["points"][0]["value"] == 4


def test_nested_captures_both_get_what_is_inside() -> None:
    with capture() as outer:
        say("before")
        with capture() as inner:
            say("inside")
            uploads.add(1)
        say("after")
        uploads.add(1)
    say("too late")
    assert messages(outer) == ["before", "inside", "after"]
    assert messages(inner) == ["inside"]
    # Other instruments of the process, those of our own queues, are in every capture too.
    ours = [metric for found in (outer, inner) for metric in found.metrics if metric["name"] == "uploads"]
    assert [metric["points"][0]["value"] for metric in ours] == [2, 1]


async def test_concurrent_tasks_do_not_see_each_other() -> None:
    both = asyncio.Barrier(2)

    async def one(name: str) -> list[str]:
        with capture() as captured:
            await both.wait()
            with tracer.start_as_current_span(name):
                await asyncio.create_task(emit(name))
            await both.wait()
        return names(captured) + messages(captured)

    async def emit(name: str) -> None:
        say(name)

    first, second = await asyncio.gather(one("first"), one("second"))
    assert (first, second) == (["first", "first"], ["second", "second"])


def test_what_comes_from_elsewhere_reaches_every_open_capture() -> None:
    with capture() as outer, capture() as inner:
        elsewhere(lambda: say("served"))
    elsewhere(lambda: say("too late"))
    assert messages(outer) == messages(inner) == ["served"]


def test_waiting_ends_when_the_log_has_come() -> None:
    with capture() as captured:
        threading.Thread(target=lambda: Context().run(say, "served")).start()
        captured.wait(lambda now: "served" in messages(now))


def test_waiting_in_vain_says_what_came() -> None:
    with capture() as captured:
        say("received")
        with pytest.raises(TimeoutError, match="received"):
            captured.wait(lambda now: now.spans, timeout=0.01)


def test_an_error_in_the_test_closes_the_capture() -> None:
    with pytest.raises(ZeroDivisionError), capture() as captured:
        _ = 1 / 0
    say("too late")
    assert captured.logs == []
