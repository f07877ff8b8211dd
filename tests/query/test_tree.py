import io
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ganglion_query.model import LogRow, SpanRow, Trace
from ganglion_query.render import print_trace
from ganglion_query.text import clean, duration
from ganglion_query.tree import Branch, Root, grow
from rich.console import Console

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def _span(name: str, id_: str, parent: str | None = None, at: float = 0, ms: float = 10, **fields: Any) -> SpanRow:
    start = START + timedelta(milliseconds=at)
    blank = dict.fromkeys(("user_id", "session_id", "tenant_id", "request_id", "scope_name", "scope_version"))
    values: dict[str, Any] = {
        **blank,
        "kind": "INTERNAL",
        "service_name": "shop",
        "status": "UNSET",
        "status_message": None,
        "attributes": {},
        "events": [],
        "links": [],
        "resource": {},
        **fields,
    }
    end = start + timedelta(milliseconds=ms)
    return SpanRow(
        trace_id=ID,
        span_id=id_,
        parent_span_id=parent,
        name=name,
        start_time=start,
        end_time=end,
        duration_ms=ms,
        **values,
    )


def _log(message: str, span_id: str | None = None, at: float = 0, **fields: Any) -> LogRow:
    names = set(LogRow.__dataclass_fields__) - {"timestamp", "message", "span_id", "trace_id"}
    values = {**dict.fromkeys(names), "level": "INFO", "context": {}, "metrics": {}, **fields}
    return LogRow(timestamp=START + timedelta(milliseconds=at), message=message, span_id=span_id, trace_id=ID, **values)


def _drawn(
    *spans: SpanRow, logs: tuple[LogRow, ...] = (), width: int = 120, full: bool = False, terminal: bool = True
) -> str:
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=terminal, no_color=True, color_system=None, markup=False, highlight=False
    )
    print_trace(console, Trace(ID, spans, logs, truncated=False), full=full)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def _names(branch: Branch) -> list[Any]:
    return [branch.span.name, *([_names(child)] for child in branch.children)]


def test_trace_is_drawn_as_a_tree_with_logs_in_place() -> None:
    spans = (
        _span("GET /ask", "a", at=0, ms=100, attributes={"http.route": "/ask", "odd": 1}, service_name="web"),
        _span("search", "b", "a", at=10, ms=40),
        _span("generate", "c", "a", at=50, ms=50, status="ERROR", status_message="rate limited"),
    )
    logs = (
        _log("found", "b", at=20, logger="rag.search", metrics={"hits": 3}),
        _log("failed", "c", at=90, level="ERROR", error="RateLimit: slow down"),
        _log("elsewhere", "gone", at=95),
    )
    time_zone = START.astimezone()
    assert _drawn(*spans, logs=logs, width=100).splitlines() == [
        f"trace {ID}  3 spans  3 logs  100 ms  1 failed span",
        f"{time_zone:%Y-%m-%d %H:%M:%S}.000 {time_zone:%Z}  shop, web",
        "",
        "                                                  time      self  waited",
        "GET /ask                                web     100 ms   10.0 ms  ◆ 10 % ███████████████████████████",
        "│  http.route=/ask",
        "├─ search                               shop   40.0 ms   40.0 ms  ◆ 40 %   ███████████",
        f"│     {time_zone:%H:%M:%S}.020 INFO     rag.search  found  hits=3",
        "└─ generate                             shop   50.0 ms   50.0 ms  ◆ 50 %              ██████████████",
        "      rate limited",
        f"      {time_zone:%H:%M:%S}.090 ERROR    failed",
        "                   RateLimit: slow down",
        "logs outside these spans",
        f"{time_zone:%H:%M:%S}.095 INFO     elsewhere",
        "",
        f"Why?  ganglion explain {ID}",
    ]


def test_bars_go_where_they_have_no_room_and_names_are_cut() -> None:
    drawn = _drawn(_span("a very long name of a span that does not fit at all", "a"), width=60)
    assert drawn.splitlines()[4] == "a very long name of a span tha…   10.0 ms   10.0 ms ◆ 100 %"


def test_orphans_are_shown_and_said() -> None:
    drawn = _drawn(_span("lost", "a", "gone"))
    assert "1 span whose parent is not here" in drawn
    assert "(its parent is not here: gone)" in drawn


def test_circles_of_parents_end_and_no_span_is_lost() -> None:
    forest = grow(
        Trace(
            ID,
            [
                _span("a", "a", "c"),
                _span("b", "b", "a"),
                _span("c", "c", "b"),
                _span("d", "d", "b"),
                _span("e", "e", "e", at=1),
            ],
            (),
            truncated=False,
        )
    )
    assert [(_names(branch), why) for branch, why in forest.roots] == [
        (["a", [["b", [["c"]], [["d"]]]]], Root.CYCLE),
        (["e"], Root.CYCLE),
    ]


def test_several_roots_come_in_time_order_and_equal_ids_are_both_shown() -> None:
    forest = grow(
        Trace(ID, [_span("late", "a", at=5), _span("early", "b"), _span("again", "a", at=9)], (), truncated=False)
    )
    assert [branch.span.name for branch, _ in forest.roots] == ["early", "late", "again"]


def test_ten_thousand_spans_are_quick_in_any_shape() -> None:
    chain = [_span("chain", str(number), str(number - 1) if number else None, at=number) for number in range(5000)]
    fan = [_span("fan", f"f{number}", "0", at=number) for number in range(5000)]
    start = time.thread_time()
    drawn = _drawn(*chain, *fan)
    assert time.thread_time() - start < 20
    assert drawn.count("chain") == drawn.count("fan") == 5000


def test_what_a_sender_wrote_cannot_change_the_terminal() -> None:
    evil = "\x1b[2J\x07 [bold]x[/bold] :smile: \u202e\r\n"
    drawn = _drawn(
        _span(
            evil, "a", attributes={"http.route": evil, evil: 1}, service_name=evil, status="ERROR", status_message=evil
        ),
        logs=(_log(evil, "a", error=evil, stack_trace=evil, logger=evil, context={evil: evil}),),
        full=True,
    )
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(drawn)
    assert "[bold]x[/bold] :smile:" in drawn


def test_long_stack_traces_are_cut_unless_all_is_wanted() -> None:
    stack = "\n".join(f"line {number}" for number in range(30))
    logs = (_log("x", "a", stack_trace=stack),)
    assert "… 18 lines above, shown by --full" in _drawn(_span("s", "a"), logs=logs)
    assert "line 0" in _drawn(_span("s", "a"), logs=logs, full=True)


def test_exception_events_are_told() -> None:
    event = {"name": "exception", "attributes": {"exception.type": "ValueError", "exception.message": "no"}}
    assert "exception  ValueError: no" in _drawn(_span("s", "a", events=[event]))


def test_logs_alone_and_a_span_without_duration_are_drawn() -> None:
    assert "0 spans  1 log" in _drawn(logs=(_log("only"),))
    assert "?      0 µs" in _drawn(replace(_span("s", "a"), end_time=None, duration_ms=None))


def test_durations_have_three_digits_that_matter() -> None:
    values = (None, float("nan"), 0, 0.85, 0.9996, 1.234, 12.34, 999.4, 999.6, 59_990, 59_999, 125_000, 7_500_000, -5)
    assert [duration(value) for value in values] == [
        "?", "?", "0 µs", "850 µs", "1.00 ms", "1.23 ms", "12.3 ms", "999 ms", "1.00 s", "60.0 s", "1 m 00 s",
        "2 m 05 s", "2 h 05 m", "-5.00 ms",
    ]  # fmt: skip


def test_printable_text_is_left_alone() -> None:
    assert clean("grüße 🎉 日本") == "grüße 🎉 日本"


def test_long_texts_are_cut_with_their_length_unless_all_is_asked_for() -> None:
    span = _span("GET", "a", status="ERROR", status_message="S" * 30_000)
    log = _log("M" * 1_000_000, "a", at=1, error="E" * 20_000, stack_trace="T" * 10_000)
    shown = _drawn(span, logs=(log,))
    assert len(shown) < 10_000
    for length in ("1,000,000", "30,000", "20,000", "10,000"):
        assert f"… ({length} characters)" in shown
    assert "M" * 1_000_000 in _drawn(span, logs=(log,), full=True)
