from datetime import UTC, datetime, timedelta, timezone

import pytest
from ganglion_query.times import parse_time

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2026, 11, 20, 14, 30, 0, tzinfo=ZONE)


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
        ("today", datetime(2026, 11, 20, tzinfo=ZONE)),
        ("yesterday", datetime(2026, 11, 19, tzinfo=ZONE)),
        ("14:30", NOW),
        ("14:31", datetime(2026, 11, 19, 14, 31, tzinfo=ZONE)),
        ("9:05:07", datetime(2026, 11, 20, 9, 5, 7, tzinfo=ZONE)),
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


@pytest.mark.parametrize("text", ["", "soon", "24", "-3h", "25:00", "12:60", "2026-13-01", "3 h ago", "1e3h", "٣h"])
def test_other_text_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time; write one such as 24h, 30m"):
        parse_time(text, NOW)
