"""What measures the cost of the instrumentation runs, and times calls that really arrive; no figure is judged here."""

import json
import sys
from collections import Counter
from pathlib import Path

from fastapi.testclient import TestClient
from ganglion._resource import hash_once
from ganglion_collector.testing import OTLPSink
from opentelemetry.sdk.resources import Resource

from bench.instrumentation_app import app
from bench.instrumentation_calls import BURST
from tests.instrumentation.programs import bodies, environment, spans_of, started

ROOT = Path(__file__).resolve().parents[2]


async def test_timed_calls_all_arrive(sink: OTLPSink, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    argv = [sys.executable, "-m", "bench.instrumentation_calls", str(figures), "1"]
    async with started(argv, environment(sink, OTEL_METRICS_EXPORTER="none"), ROOT) as program:
        assert await program.ends() == 0, program.output

    found = json.loads(figures.read_text())
    assert found["complete"]
    for bursts in found["bursts"].values():
        assert [set(burst) for burst in bursts] == [{"wall", "cpu", "all_cpu"}]
    calls = 4 * BURST  # three rounds that are not counted, and one that is
    assert Counter(bodies(sink)) == {"chunks_created": calls, "parse_started": calls, "parse_completed": calls}
    assert Counter(span["name"] for span in spans_of(sink)) == {"parse": 3 * calls, "request": 1}
    assert program.output.count('"message":"chunks_created"') == calls


def test_the_timed_application_answers() -> None:
    assert TestClient(app).get("/items/12").json() == {"number": 12, "square": 144}


def test_a_resource_whose_hash_is_remembered_is_still_the_same() -> None:
    made, equal, other = (Resource({"service.name": name, "host.id": 7}) for name in ("a", "a", "b"))
    before = hash(made)

    hash_once(made)
    hash_once(made)

    assert hash(made) == hash(made) == before
    assert {made: 1}[equal] == 1
    assert made != other
    assert made.merge(Resource({"more": 1})).attributes == {"service.name": "a", "host.id": 7, "more": 1}
