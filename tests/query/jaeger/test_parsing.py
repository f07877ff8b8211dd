"""Single values that clients send."""

from datetime import UTC, datetime, timedelta

import pytest
from ganglion_query.jaeger import parsing
from ganglion_query.jaeger.parsing import ParameterError

MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1.2s", 1200),
        ("100ms", 100),
        ("500us", 0.5),
        ("500µs", 0.5),
        ("1h2m3s", 3_723_000),
        (".5s", 500),
        ("100ns", 0.0001),
        ("", None),
        ("0", None),
        ("0s", None),
    ],
)
def test_lengths_as_go_writes_them(text: str, milliseconds: float | None) -> None:
    assert parsing.milliseconds("minDuration", text) == (None if milliseconds is None else pytest.approx(milliseconds))


@pytest.mark.parametrize("text", ["1", "-1s", "1 s", "s", "1.2.3s", "1d", "1s ", "٣s", "1e3ms", "1s2", "1" * 1_000_000])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match=r"unable to parse param 'minDuration': .+ is no length"):
        parsing.milliseconds("minDuration", text)


@pytest.mark.parametrize(
    ("text", "trace_id"), [("1", "0" * 31 + "1"), (" ABCDEF ", "0" * 26 + "abcdef"), ("f" * 32, "f" * 32)]
)
def test_trace_ids_may_be_short_and_in_any_case(text: str, trace_id: str) -> None:
    assert parsing.trace_id(text) == trace_id


@pytest.mark.parametrize("text", ["", "x", "f" * 33, "1;", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736'"])
def test_what_is_no_trace_id_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="cannot parse traceID param"):
        parsing.trace_id(text)


def test_times() -> None:
    assert parsing.unix("start", "1769871600123456", MICROSECOND) == datetime(2026, 1, 31, 15, 0, 0, 123456, UTC)
    assert parsing.unix("start", "", MICROSECOND) is None
    assert parsing.iso_time("t", "2026-01-31T16:00:00.5 01:00") == datetime(2026, 1, 31, 15, 0, 0, 500_000, UTC)
    for wrong in ("1.5", "abc", "9" * 19, "9" * 40, "٣"):
        with pytest.raises(ParameterError, match="unable to parse param 'start'"):
            parsing.unix("start", wrong, MICROSECOND)
    for wrong in ("2026-01-31", "yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(ParameterError, match="unable to parse param 't'"):
            parsing.iso_time("t", wrong)


def test_texts_are_what_the_database_can_hold() -> None:
    assert parsing.text("service", "a\0b") == "a␀b"
    assert parsing.text("service", "") is None
    for wrong in ("\ud800", "x" * 2001):
        with pytest.raises(ParameterError, match="unable to parse param 'service'"):
            parsing.text("service", wrong)


@pytest.mark.parametrize(
    "document",
    ["", "{", "[]", '"a"', '{"a": 1}', '{"a": null}', '{"a": {"b": "c"}}', "[" * 100_000, '{"a": "\\ud800"}'],
)
def test_tags_are_an_object_of_strings(document: str) -> None:
    with pytest.raises(ParameterError):
        parsing.checked_tags(parsing.json_tags("tags", document))


def test_flags_and_limits() -> None:
    assert [parsing.flag("raw", text) for text in (None, "", "false", "0", "true", "T", "1")] == [False] * 4 + [
        True
    ] * 3
    assert [parsing.limit("limit", text) for text in (None, "", "0", "20", "9999999")] == [100, 100, 100, 20, 1500]
    with pytest.raises(ParameterError, match="'raw': 'yes' is neither true nor false"):
        parsing.flag("raw", "yes")
    with pytest.raises(ParameterError, match="'limit': it is negative"):
        parsing.limit("limit", "-5")
