import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from ganglion_query.times import LOCAL, parse_length, parse_time

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2026, 11, 20, 14, 30, 0, tzinfo=ZONE)  # a Friday


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", NOW),
        ("24h", NOW - timedelta(hours=24)),
        ("30m", NOW - timedelta(minutes=30)),
        (" 2D ", NOW - timedelta(days=2)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("1w", NOW - timedelta(days=7)),
        ("3 h ago", NOW - timedelta(hours=3)),
        ("2 days ago", NOW - timedelta(days=2)),
        ("1 hour 30 minutes ago", NOW - timedelta(minutes=90)),
        ("today", datetime(2026, 11, 20, tzinfo=ZONE)),
        ("yesterday", datetime(2026, 11, 19, tzinfo=ZONE)),
        ("yesterday 15:00", datetime(2026, 11, 19, 15, tzinfo=ZONE)),
        ("Yesterday at 3pm", datetime(2026, 11, 19, 15, tzinfo=ZONE)),
        ("today 23:00", datetime(2026, 11, 20, 23, tzinfo=ZONE)),
        ("14:30", NOW),
        ("14:31", datetime(2026, 11, 19, 14, 31, tzinfo=ZONE)),
        ("9:05:07", datetime(2026, 11, 20, 9, 5, 7, tzinfo=ZONE)),
        ("2pm", datetime(2026, 11, 20, 14, tzinfo=ZONE)),
        ("3:15 PM", datetime(2026, 11, 19, 15, 15, tzinfo=ZONE)),
        ("12am", datetime(2026, 11, 20, tzinfo=ZONE)),
        ("noon", datetime(2026, 11, 20, 12, tzinfo=ZONE)),
        ("monday", datetime(2026, 11, 16, tzinfo=ZONE)),
        ("friday", datetime(2026, 11, 20, tzinfo=ZONE)),
        ("fri 15:00", datetime(2026, 11, 13, 15, tzinfo=ZONE)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=ZONE)),
        ("2026-11-20 15:00", datetime(2026, 11, 20, 15, tzinfo=ZONE)),
        ("2026-11-20t15:00z", datetime(2026, 11, 20, 15, tzinfo=UTC)),
        ("2026-11-20T15:00:00+02:00", datetime(2026, 11, 20, 15, tzinfo=ZONE)),
        ("99999999d", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9" * 400 + "d", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_as_people_type_them(text: str, meant: datetime) -> None:
    assert parse_time(text, NOW) == meant


@pytest.mark.parametrize(
    "text",
    ["", "soon", "24", "-3h", "25:00", "12:60", "13pm", "0am", "2026-13-01", "1e3h", "٣h", "200ms", "monday soon"],
)
def test_other_text_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time; write one such as 24h, 30m"):
        parse_time(text, NOW)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "1969-12-31", "2200-01-02", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("now", [NOW, NOW.astimezone(LOCAL)])
def test_times_that_nothing_is_of_are_refused(text: str, now: datetime) -> None:
    with pytest.raises(ValueError, match="is no time from 1970 to 2199"):
        parse_time(text, now)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("200ms", 0.2), ("1m30s", 90), ("2h", 7200), ("0.5s", 0.5), ("30 minutes", 1800), ("1d", 86_400)],
)
def test_lengths_as_people_type_them(text: str, seconds: float) -> None:
    assert parse_length(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "0s", "-5s", "fast", "9" * 400 + "d", "5 apples"])
def test_other_lengths_are_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a length of time; write one such as 200ms, 5s"):
        parse_length(text)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Summer time ended there on 2026-10-25 at 03:00."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("yesterday 15:00", datetime(2026, 10, 24, 13, tzinfo=UTC)),
        ("today 15:00", datetime(2026, 10, 25, 14, tzinfo=UTC)),
        ("24h", datetime(2026, 10, 24, 17, tzinfo=UTC)),
        ("2026-07-01 12:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),
    ],
)
def test_the_zone_of_this_machine_has_its_summer_times(text: str, meant: datetime) -> None:
    now = datetime(2026, 10, 25, 18, tzinfo=LOCAL)
    assert parse_time(text, now).astimezone(UTC) == meant
