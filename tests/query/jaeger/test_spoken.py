"""What a real Jaeger answered about the same spans, and what we do.

Recorded from Jaeger 1.76 (the code of 2.13) by `spoken.py`, with its spans in memory.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ganglion_collector.component import Batch, Position, Record, Source
from ganglion_collector.otlp import Signal, count_items
from ganglion_exporters.postgresql import PostgreSQLConfig, factory

from tests.query.jaeger.service import jaeger
from tests.query.jaeger.spoken import OTHER, QUESTIONS, RECORDED, TRACE, comparable, questions, request

NOW = datetime.now(UTC)

# This Jaeger's memory looks for attributes alone, and takes `error` for false whatever it is; others of its stores, and
# newer ones, find what they show.
_OURS = {
    written: ids
    for ids, questions_ in (
        ([TRACE], ("service=back&tags=%7B%22error%22", "otel.status_code", "event:exception", "otel.scope.name")),
        ([OTHER, TRACE], ("span.kind%22%3A%22server",)),
        ([], ("service=front&tags=%7B%22error%22",)),
    )
    for written in QUESTIONS
    if any(part in written for part in questions_)
}
# Jaeger counts a service's calls of itself.
_OF_ITSELF = {"parent": "front", "child": "front", "callCount": 1}


async def _store(dsn: str) -> None:
    exporter = factory.create(PostgreSQLConfig.model_validate({"dsn": dsn}))
    await exporter.start()
    sent = request(NOW)
    count = count_items(Signal.TRACES, sent)
    record = Record(1, Signal.TRACES, "otlp", round(NOW.timestamp() * 1e9), count, sent.SerializeToString())
    source = Source(uuid4(), "traces/postgresql")
    await exporter.export(Batch(Signal.TRACES, (record,), source, Position(), Position(2, 0)))
    await exporter.shutdown()


def _told(written: str, answer: Any) -> Any:
    found = comparable(written, answer, NOW)
    if isinstance(found, dict) and "dependencies" in written:
        found["data"] = sorted([*found["data"], _OF_ITSELF], key=lambda one: json.dumps(one, sort_keys=True))
    return found


async def test_our_answers_are_those_of_a_real_jaeger(postgresql: str) -> None:
    await _store(postgresql)
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    asked = questions(NOW)
    assert recorded.keys() == asked.keys()
    different: list[tuple[str, Any, Any]] = []
    async with jaeger(postgresql) as client:
        for written, path in asked.items():
            response = await client.get(path)
            ours = {"status": response.status_code, "answer": _told(written, response.json())}
            if written in _OURS:
                assert ours["answer"].get("data", []) == _OURS[written], written
            elif ours != recorded[written]:
                different.append((written, ours, recorded[written]))
    assert different == []
