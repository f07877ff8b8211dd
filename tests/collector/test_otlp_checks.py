"""What is acknowledged must be readable later: checks, and ten thousand mutated requests."""

import random
from collections.abc import Callable

import pytest
from ganglion_collector.component import Signal
from ganglion_collector.errors import InvalidRequestError
from ganglion_collector.otlp import Request, count_items, parse_request
from ganglion_collector.receivers.otlp.checks import check
from ganglion_collector.receivers.otlp.json_request import json_to_protobuf
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.otlp_requests import PAYLOADS, SPAN, TRACE, logs, metrics, spans
from tests.collector.test_otlp_json import TRACES as JSON_TRACES

MUTATIONS = 10_000


@pytest.mark.parametrize("signal", Signal)
def test_a_sound_request_keeps_its_bytes(signal: Signal) -> None:
    checked = check(signal, PAYLOADS[signal])
    assert checked.payload is PAYLOADS[signal]
    assert (checked.item_count, checked.rejected) == (1, None)


def test_data_points_are_counted_not_metrics() -> None:
    assert check(Signal.METRICS, metrics(7).SerializeToString()).item_count == 7


def test_the_order_and_the_envelope_of_what_is_taken_stay() -> None:
    request = spans(*((TRACE, bytes([number]) * 8) for number in range(1, 6)))
    request.resource_spans[0].scope_spans[0].spans[2].trace_id = b"x"
    checked = check(Signal.TRACES, request.SerializeToString())
    del request.resource_spans[0].scope_spans[0].spans[2]
    assert (checked.item_count, parse_request(Signal.TRACES, checked.payload)) == (4, request)


def test_only_the_first_reasons_are_named() -> None:
    request = spans(*((b"x", SPAN) for _ in range(10)), (TRACE, SPAN))
    checked = check(Signal.TRACES, request.SerializeToString())
    assert checked.rejected is not None
    assert checked.rejected.rejected == 10
    assert checked.rejected.message.endswith("item 2: trace_id has 1 bytes instead of 16; and 7 more")


def test_a_hundred_thousand_wrong_spans_do_not_take_long() -> None:
    request = spans(*((TRACE, SPAN if number % 2 else b"x") for number in range(100_000)))
    assert check(Signal.TRACES, request.SerializeToString()).item_count == 50_000


@pytest.mark.parametrize("ids", [(bytes(16), SPAN), (TRACE, bytes(8)), (b"", SPAN), (TRACE, b""), (TRACE * 2, SPAN)])
def test_a_span_needs_both_ids(ids: tuple[bytes, bytes]) -> None:
    request = spans((TRACE, SPAN), ids)
    assert check(Signal.TRACES, request.SerializeToString()).item_count == 1


def test_an_envelope_that_lost_all_its_items_goes_too() -> None:
    request = spans((TRACE, SPAN))
    request.MergeFrom(spans((TRACE, b"1"), (TRACE, b"2")))
    checked = check(Signal.TRACES, request.SerializeToString())
    assert parse_request(Signal.TRACES, checked.payload) == spans((TRACE, SPAN))


def wrong_parent(request: Request) -> None:
    first_span(request).parent_span_id = b"1234"


def wrong_link(request: Request) -> None:
    first_span(request).links.add(trace_id=TRACE, span_id=b"1")


def zero_parent(request: Request) -> None:
    first_span(request).parent_span_id = bytes(8)


def empty_link(request: Request) -> None:
    first_span(request).links.add()


def first_span(request: Request) -> Span:
    return request.resource_spans[0].scope_spans[0].spans[0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (wrong_parent, "parent_span_id has 4 bytes instead of 8"),
        (wrong_link, "links[0].span_id has 1 bytes instead of 8"),
        (zero_parent, None),
        (empty_link, None),
    ],
)
def test_parents_and_links_may_be_absent_but_not_wrong(change: Callable[[Request], None], reason: str | None) -> None:
    request = spans()
    change(request)
    checked = check(Signal.TRACES, request.SerializeToString())
    assert checked.item_count == (0 if reason else 1)
    if reason is not None:
        assert checked.rejected is not None
        assert checked.rejected.message == f"1 of 1 spans rejected: item 0: {reason}"


@pytest.mark.parametrize(
    ("trace_id", "span_id", "taken"),
    [
        (b"", b"", True),
        (bytes(16), bytes(8), True),
        (TRACE, b"", True),
        (b"123", SPAN, False),
        (TRACE, b"123", False),
    ],
)
def test_a_log_may_have_no_ids_but_no_wrong_ones(trace_id: bytes, span_id: bytes, taken: bool) -> None:
    request = logs()
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.trace_id, record.span_id = trace_id, span_id
    assert check(Signal.LOGS, request.SerializeToString()).item_count == int(taken)


@pytest.mark.parametrize("sent", Signal)
@pytest.mark.parametrize("path", Signal)
def test_another_signal_is_told_from_its_own(sent: Signal, path: Signal) -> None:
    if sent is path:
        return
    with pytest.raises(InvalidRequestError, match=f"these are {sent}, not {path}"):
        check(path, PAYLOADS[sent])


@pytest.mark.parametrize("path", [Signal.TRACES, Signal.METRICS])
def test_a_log_of_nothing_but_text_is_told_too(path: Signal) -> None:
    request = logs()
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.Clear()
    record.body.string_value = "only text"
    with pytest.raises(InvalidRequestError):
        check(path, request.SerializeToString())


def test_unknown_fields_of_a_later_version_are_kept() -> None:
    record = logs().resource_logs[0].scope_logs[0].log_records[0].SerializeToString() + b"\xf8\x3f\x01"
    payload = wrapped(wrapped(wrapped(record, 2), 2), 1)
    assert check(Signal.LOGS, payload).payload is payload


def wrapped(content: bytes, number: int) -> bytes:
    """Return `content` as the length-delimited field `number` (short contents only)."""
    size = len(content)
    return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7]) + content


def nested(levels: int) -> bytes:
    value = b"\x0a\x01x"
    for _ in range(levels):
        value = wrapped(wrapped(value, 1), 5)
    return wrapped(wrapped(wrapped(wrapped(value, 5), 2), 2), 1)


def test_what_parsers_cannot_read_later_is_refused_now() -> None:
    assert check(Signal.LOGS, nested(45)).item_count == 1
    with pytest.raises(InvalidRequestError):
        check(Signal.LOGS, nested(60))


def mutate(payload: bytes, chance: random.Random) -> bytes:
    data = bytearray(payload)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data)) if data else 0
        match chance.randrange(5):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[place : place + chance.randint(1, 8)]
            case 2:
                data[place:place] = chance.randbytes(chance.randint(1, 8))
            case 3:
                data[place:] = data[: chance.randint(0, len(data))]
            case _:
                data[place] ^= 1 << chance.randrange(8)
    return bytes(data)


def assert_sound(signal: Signal, payload: bytes) -> bool:
    """Check `payload`; whatever is taken must parse and hold what was counted, with sound ids."""
    try:
        checked = check(signal, payload)
    except InvalidRequestError:
        return False
    request = parse_request(signal, checked.payload)
    assert count_items(signal, request) == checked.item_count
    again = check(signal, checked.payload)
    assert (again.item_count, again.rejected) == (checked.item_count, None)
    return True


@pytest.mark.parametrize("signal", Signal)
def test_mutated_protobuf_is_refused_or_sound(signal: Signal) -> None:
    chance = random.Random(20_261_120)
    seeds = [PAYLOADS[signal], PAYLOADS[signal] * 3]
    taken = sum(assert_sound(signal, mutate(chance.choice(seeds), chance)) for _ in range(MUTATIONS // 3 + 1))
    assert 0 < taken < MUTATIONS // 3


def test_mutated_json_is_refused_or_sound() -> None:
    chance = random.Random(20_261_121)
    taken = 0
    for _ in range(MUTATIONS):
        try:
            payload = json_to_protobuf(Signal.TRACES, mutate(JSON_TRACES, chance))
        except InvalidRequestError:
            continue
        taken += assert_sound(Signal.TRACES, payload)
    assert 0 < taken < MUTATIONS
