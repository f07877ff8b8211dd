"""What a worker remembers of how the one before it died."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ganglion_collector.attempts import Attempts
from ganglion_collector.component import Position

START, END = Position(5), Position(9)


@contextmanager
def _life(path: Path) -> Iterator[Attempts]:
    attempts = Attempts(path, 1000)
    yield attempts
    attempts.close()


def _die(path: Path, start: Position = START, end: Position = END, items: int = 0) -> int:
    """Die in an attempt of `items`, or of as many as the limit allows; return that limit."""
    with _life(path) as attempts:
        limit = attempts.limit(start)
        attempts.begin(start, end, items or limit)
        return limit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attempt"


def test_batches_shrink_after_the_third_death_until_one_item_is_condemned(path: Path) -> None:
    assert [_die(path) for _ in range(7)] == [1000, 1000, 1000, 62, 3, 1, 1]
    with _life(path) as attempts:
        assert attempts.is_condemned(START)
        assert not attempts.is_condemned(END)


def test_deaths_at_different_places_are_not_held_against_one(path: Path) -> None:
    limits = [_die(path, Position(number), Position(number + 1)) for number in range(10)]
    assert limits == [1000] * 10


def test_death_outside_an_attempt_does_not_count(path: Path) -> None:
    for _ in range(10):
        with _life(path) as attempts:
            attempts.begin(START, END, 1000)
            attempts.survived()
    with _life(path) as attempts:
        assert attempts.limit(START) == 1000


def test_batches_are_whole_again_past_the_end_of_the_deadly_one(path: Path) -> None:
    for _ in range(3):
        _die(path)
    with _life(path) as attempts:
        assert attempts.limit(Position(8)) == 62
        assert attempts.limit(END) == 1000
        attempts.begin(Position(8), END, 3)
        attempts.survived()
        assert attempts.limit(Position(8, 5)) == 62
        attempts.begin(END, Position(20), 1000)
        attempts.survived()
        assert attempts.limit(END) == 1000


def test_condemned_item_that_lives_is_no_longer_condemned(path: Path) -> None:
    for _ in range(7):
        _die(path)
    with _life(path) as attempts:
        attempts.begin(START, END, 1)
        attempts.survived()
        assert not attempts.is_condemned(START)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"start": {}, "until": {}, "foreign": 1}', b"\xff" * 300])
def test_damaged_note_is_no_note(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with _life(path) as attempts:
        assert attempts.limit(START) == 1000
