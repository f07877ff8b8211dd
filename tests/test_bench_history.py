"""The history that the bench asks: linked, made twice the same, with its causes in it; and its stencils."""

import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ganglion_exporters.postgresql.log_lines import LOG_COLUMNS
from ganglion_exporters.postgresql.span_lines import SPAN_COLUMNS

from bench.history import History, fill_history, made_history
from bench.postgresql import database
from bench.stencils import Copied, Filling, cut
from bench.stories import ERAS, KINDS, Story, resources
from bench.story import MARKS, SPAN_MARK, TRACE_MARK, told

pytestmark = pytest.mark.timeout(120)

_UNTIL = datetime(2026, 11, 30, 12, tzinfo=UTC)
_START = 1_796_000_000_000_000
_TEXTS = {"trace": "ab" * 16, "span": "cdcdcdcd", **{name: f"some {name}" for name in MARKS}}


def _copied(make: Any) -> Copied:
    source = random.Random(3)
    story = Story(source, ERAS[0])
    return cut(told(source, story.chatter(make(story)), (), resources(ERAS[0], source)))


@pytest.mark.parametrize("make", list(KINDS), ids=lambda make: make.__name__.strip("_"))
def test_stencil_leaves_no_mark(make: Any) -> None:
    copied = _copied(make)
    for stencil, columns, most in ((copied.logs, LOG_COLUMNS, 300), (copied.spans, SPAN_COLUMNS, 15)):
        text = stencil.fill(Filling(_START, 1.0, _TEXTS))
        lines = text.splitlines()
        assert 3 <= len(lines) == stencil.rows <= most
        assert {line.count("\t") for line in lines} == {len(columns)}
        assert not any(mark in text for mark in ("2001-09-09", TRACE_MARK.hex(), SPAN_MARK.hex(), *MARKS.values()))
        assert all(_TEXTS["trace"] in line for line in lines)


def test_stencil_is_stretched_in_time() -> None:
    copied = _copied(Story.ask)
    once, twice = (copied.spans.fill(Filling(_START, stretch, _TEXTS)).splitlines() for stretch in (1.0, 2.0))
    durations = [[float(line.split("\t")[2]) for line in lines] for lines in (once, twice)]
    assert durations[1] == pytest.approx([2 * one for one in durations[0]], abs=1e-5)
    start, end = (datetime.fromisoformat(field) for field in twice[-1].split("\t")[:2])
    assert (end - start).total_seconds() * 1e3 == pytest.approx(durations[1][-1], abs=0.01)


@pytest.fixture(scope="module")
def filled(postgresql_server: str) -> Iterator[tuple[str, History]]:
    with database(postgresql_server) as dsn:
        yield dsn, fill_history(dsn, 30_000, 4, until=_UNTIL)


def _one(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_history_is_as_large_as_it_says(filled: tuple[str, History]) -> None:
    dsn, history = filled
    assert history.logs == _one(dsn, "SELECT count(*) FROM logs") == pytest.approx(30_000, rel=0.2)
    assert history.spans == _one(dsn, "SELECT count(*) FROM spans")
    assert history.traces == _one(dsn, "SELECT count(DISTINCT trace_id) FROM spans")
    assert (history.since, history.until) == (datetime(2026, 11, 26, 12, tzinfo=UTC), _UNTIL)


def test_history_is_linked(filled: tuple[str, History]) -> None:
    dsn, _ = filled
    lost = "NOT EXISTS (SELECT FROM spans s WHERE s.trace_id = x.trace_id AND s.span_id = x.{})"
    assert _one(dsn, f"SELECT count(*) FROM logs x WHERE trace_id IS NOT NULL AND {lost.format('span_id')}") == 0
    orphans = f"SELECT count(*) FROM spans x WHERE parent_span_id IS NOT NULL AND {lost.format('parent_span_id')}"
    assert _one(dsn, orphans) == 0
    assert _one(dsn, "SELECT count(*) FROM logs WHERE resource_id NOT IN (SELECT id FROM resources)") == 0


def test_history_is_the_same_twice(filled: tuple[str, History], postgresql_server: str) -> None:
    dsn, history = filled
    digest = "SELECT md5(string_agg(md5(x::text), '' ORDER BY md5(x::text))) FROM {} x"
    with database(postgresql_server) as other:
        again = fill_history(other, 30_000, 4, until=_UNTIL)
        for table in ("logs", "spans"):
            assert _one(dsn, digest.format(table)) == _one(other, digest.format(table))
    assert (again.logs, again.spans, again.incident) == (history.logs, history.spans, history.incident)


def test_history_has_its_causes(filled: tuple[str, History]) -> None:
    dsn, _ = filled
    score = "avg((metrics ->> 'faithfulness')::float8) FROM logs WHERE message = 'ragas_score_computed' AND version"
    assert _one(dsn, f"SELECT {score} = '2.5.0'") < 0.85 < _one(dsn, f"SELECT {score} < '2.5'")
    failed = "SELECT avg((status = 'ERROR')::int)::float8 FROM spans WHERE parent_span_id IS NULL"
    assert 0.003 < _one(dsn, failed) < 0.08
    assert _one(dsn, "SELECT count(DISTINCT attributes ->> 'rag.layer') FROM spans") == 6


def test_questions_are_timed_and_planned(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    home, plans = tmp_path / "ganglion-bench-history", tmp_path / "plans.txt"
    made_history(home, 12_000, 2)
    command = [sys.executable, "-m", "bench.queries", "--history", str(home), "--plans", str(plans)]
    options = ["--calls", "2", "--only", "trace by id"]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True, timeout=100)
    figures = dict(line.split(": ", 1) for line in done.stdout.splitlines() if " ms  [" in line)
    assert list(figures) == [
        "trace by id, rows, p95",
        "trace by id, answer, p95",
        "trace by id, answer, over HTTP, median",
    ]
    text = plans.read_text()
    assert text.count("== trace by id") == 4
    assert text.count("FROM logs") == text.count("FROM spans") == 4
    assert "_pkey" in text
