"""The commands in alerts find the traces that they promise."""

import re
from datetime import UTC, datetime

import psycopg
import pytest
import yaml

from tests.deploy.receivers import SHIPPED
from tests.query.telemetry import Sent, span, store

LABELS = {"service": "answers", "layer": "generation", "operation": "answer"}


def commands() -> list[str]:
    paths = sorted((SHIPPED / "prometheus/rules").glob("*.yml"))
    groups = [group for path in paths for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    found = [rule.get("annotations", {}).get("traces", "") for group in groups for rule in group["rules"]]
    return [re.sub(r"\{\{ \$labels\.(\w+)[^}]*\}\}", lambda label: LABELS[label[1]], text) for text in found]


STATEMENTS = [match[1] for text in commands() if (match := re.fullmatch(r'psql "\$\(ganglion dsn\)" -c "(.*)"', text))]


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_slow_requests_are_found(statement: str, postgresql: str) -> None:
    now = datetime.now(UTC)
    slow = span("generation.answer", 1, at=now, ms=2500)
    quick = span("generation.answer", 2, at=now, ms=150, trace_id="0af7651916cd43dd8448eb211c80319c")
    await store(postgresql, Sent("answers", [slow, quick], []))
    async with await psycopg.AsyncConnection.connect(postgresql) as connection:
        rows = await (await connection.execute(statement.encode())).fetchall()
    assert [(name, duration) for _, name, duration in rows] == [("generation.answer", 2500.0)]


def test_latency_has_commands() -> None:
    assert len(STATEMENTS) == 2
