"""From a configuration to what the processes hold."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from ganglion_collector import pipeline
from ganglion_collector.component import (
    BatchBounds,
    ExporterConfig,
    Receiver,
    Record,
    SendingQueueConfig,
    Signal,
    Source,
)
from ganglion_collector.config import CollectorConfig, from_mapping
from ganglion_collector.dead_letters import DeadLetter, DeadLetters
from ganglion_collector.doorbell import Doorbell, make_doorbell
from ganglion_collector.errors import RefusedError, StartError
from ganglion_collector.intake import Intake
from ganglion_collector.journal.store import open_reader
from ganglion_collector.replay import Outcome, replay

from tests.collector.notebook import logs_payload
from tests.collector.tally import tally_environ


def _config(pipelines: Mapping[str, Any], **sections: Any) -> CollectorConfig:
    http = {"protocols": {"http": {"endpoint": "127.0.0.1:0"}}}
    found: dict[str, Any] = {
        "receivers": {"otlp": http, "otlp/second": http},
        "exporters": {"debug": None, "debug/second": None},
        "service": {"pipelines": pipelines},
    }
    return from_mapping({**found, **sections})


BOTH = {
    "logs": {"receivers": ["otlp"], "exporters": ["debug", "debug/second"]},
    "traces/slow": {"receivers": ["otlp", "otlp/second"], "exporters": ["debug"]},
}


def test_each_exporter_of_each_pipeline_is_a_route() -> None:
    names = [route.name for route in pipeline.routes(_config(BOTH))]
    assert names == ["logs/debug", "logs/debug/second", "traces/slow/debug"]


CONNECTED = {
    "logs": {"receivers": ["otlp"], "exporters": ["tally", "ledger"]},
    "logs/both": {"receivers": ["otlp/second", "tally"], "exporters": ["ledger", "debug"]},
    "logs/derived": {"receivers": ["tally"], "exporters": ["debug"]},
}


def _connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **sections: Any) -> CollectorConfig:
    monkeypatch.syspath_prepend(tally_environ(tmp_path)["PYTHONPATH"].partition(os.pathsep)[0])
    exporters = {"ledger": None, "debug": None, "keeper": None}
    used = {"connectors": {"tally": None}, "exporters": exporters, **sections}
    pipelines = used.pop("pipelines", CONNECTED)
    return _config(pipelines, **used)


def test_shared_exporter_and_connector_are_one_route_for_all_their_pipelines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _connected(tmp_path, monkeypatch)
    found = {route.name: (route.component, list(pipeline.ways(config, route))) for route in pipeline.routes(config)}
    way = pipeline.Way
    both = [way("logs/both", None), way("logs/both", "tally")]
    assert found == {
        "tally": ("connector:tally", [way("logs", None)]),
        "ledger": ("exporter:ledger", [way("logs", None), *both]),
        "logs/both/debug": ("pipeline:logs/both/exporter:debug", both),
        "logs/derived/debug": ("pipeline:logs/derived/exporter:debug", [way("logs/derived", "tally")]),
    }
    assert pipeline.journal_readers(config) == ("logs/tally", "logs/ledger", "logs/both/ledger", "logs/both/debug")
    derived = ("logs/both/ledger", "logs/both/debug", "logs/derived/debug")
    assert pipeline.stream_readers(config, "tally") == derived


def test_exporter_that_keeps_its_position_does_not_go_with_what_changes_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipelines = {"logs": {"receivers": ["otlp"], "processors": ["every_other"], "exporters": ["keeper"]}}
    config = _connected(tmp_path, monkeypatch, pipelines=pipelines, processors={"every_other": None}, connectors={})
    (route,) = pipeline.routes(config)
    places = pipeline.places(config, tmp_path)
    places.run.mkdir()
    reading, writing = make_doorbell()
    with pytest.raises(StartError, match="take every_other out of the pipeline"):
        pipeline.make_worker(pipeline.WorkerSettings(config, places, route), Doorbell(reading), _NoHealth())
    os.close(reading)
    os.close(writing)


class _NoHealth:
    def ok(self) -> None: ...

    def failing(self, reason: str) -> None: ...


def test_journal_is_in_the_home_folder_unless_set(tmp_path: Path) -> None:
    assert pipeline.places(_config(BOTH), tmp_path).journal == tmp_path / "journal"
    other = _config(
        BOTH,
        extensions={"journal": {"directory": str(tmp_path / "elsewhere")}},
        service={"extensions": ["journal"], "pipelines": BOTH},
    )
    places = pipeline.places(other, tmp_path)
    assert (places.journal, places.dead_letters) == (tmp_path / "elsewhere", tmp_path / "dead-letters.sqlite")


@pytest.mark.parametrize(
    ("queue", "processors", "expected"),
    [
        ({}, [], BatchBounds()),
        ({"batch": {"max_size": 10}}, [BatchBounds(max_items=20)], BatchBounds(max_items=10)),
        ({"batch": {"max_size": 30}}, [BatchBounds(max_items=20)], BatchBounds(max_items=20)),
        (
            {"batch": {"min_size": 5, "flush_timeout": "1s"}},
            [BatchBounds(min_items=8, timeout=0.2)],
            BatchBounds(min_items=8, timeout=1),
        ),
    ],
)
def test_batches_keep_within_all_bounds(
    queue: dict[str, Any], processors: list[BatchBounds], expected: BatchBounds
) -> None:
    exporter = ExporterConfig(sending_queue=SendingQueueConfig.model_validate(queue))
    assert pipeline.exporter_bounds(exporter, processors) == expected


async def _receivers(config: CollectorConfig, home: Path) -> tuple[Intake, Mapping[str, Receiver]]:
    intake = pipeline.make_intake(config, pipeline.places(config, home), [], print)
    return intake, pipeline.make_receivers(config, intake, lambda _name, _address: None)


async def test_what_is_accepted_is_in_the_journal_and_rings(tmp_path: Path) -> None:
    config = _config(BOTH)
    reading, writing = make_doorbell()
    intake = pipeline.make_intake(config, pipeline.places(config, tmp_path), [writing], print)
    await intake.start()
    bell = Doorbell(reading)
    bell.clear()
    payload = logs_payload("a", "b")
    await intake.acceptor("otlp")(Signal.LOGS, payload, 2, {"user": "u"})
    await bell.wait(5)
    await intake.shutdown()
    await intake.shutdown()

    reader = open_reader(tmp_path / "journal", "logs/debug")
    (record,), _ = reader.read(reader.oldest(), BatchBounds(), Signal.LOGS, {"otlp"})
    reader.close()
    assert (record.payload, record.item_count, record.context) == (payload, 2, {"user": "u"})


async def test_a_full_journal_is_told_until_nobody_is_refused_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = {"journal": {"quota_mib": 1, "deduplication_window": 0}}
    config = _config(BOTH, extensions=journal, service={"extensions": ["journal"], "pipelines": BOTH})
    told: asyncio.Queue[str] = asyncio.Queue()
    intake = pipeline.make_intake(config, pipeline.places(config, tmp_path), [], told.put_nowait)
    await intake.start()
    accept = intake.acceptor("otlp")
    await accept(Signal.LOGS, logs_payload("x" * 900_000), 1, {})
    for seconds in (60.0, 0.2):  # the first refusal is not over when the second comes, however slow the machine
        monkeypatch.setattr("ganglion_collector.intake._REFUSING", seconds)
        with pytest.raises(RefusedError):
            await accept(Signal.LOGS, logs_payload("x" * 900_000), 1, {})
    await accept(Signal.LOGS, logs_payload("small"), 1, {})
    assert [await asyncio.wait_for(told.get(), 5) for _ in range(2)] == [
        "the journal is full: exporters are behind",
        "",
    ]
    await intake.shutdown()
    assert told.empty()


async def test_after_shutdown_nothing_is_accepted(tmp_path: Path) -> None:
    intake, _ = await _receivers(_config(BOTH), tmp_path)
    await intake.start()
    await intake.shutdown()
    with pytest.raises(RefusedError):
        await intake.acceptor("otlp")(Signal.LOGS, logs_payload("a"), 1, {})


async def test_memory_limiter_refuses_for_the_pipelines_that_have_it(tmp_path: Path) -> None:
    logs = {"receivers": ["otlp"], "processors": ["memory_limiter"], "exporters": ["debug"]}
    traces = {"receivers": ["otlp"], "exporters": ["debug"]}
    limiter = {"check_interval": "1s", "limit_mib": 2, "spike_limit_mib": 1}
    config = _config({"logs": logs, "traces": traces}, processors={"memory_limiter": limiter})
    intake, _ = await _receivers(config, tmp_path)
    await intake.start()
    try:
        with pytest.raises(RefusedError, match="memory"):
            await intake.acceptor("otlp")(Signal.LOGS, logs_payload("a"), 1, {})
        await intake.acceptor("otlp")(Signal.TRACES, b"", 1, {})
    finally:
        await intake.shutdown()


async def test_every_receiver_in_use_is_made(tmp_path: Path) -> None:
    _, receivers = await _receivers(_config(BOTH), tmp_path)
    assert list(receivers) == ["otlp", "otlp/second"]


async def test_dead_letters_of_what_has_a_state_are_for_the_running_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _connected(tmp_path, monkeypatch)
    outcomes: list[Outcome] = []
    with closing(DeadLetters(tmp_path / "letters.sqlite")) as letters:
        for reader in ("logs/tally", "logs/ledger"):
            record = Record(1, Signal.LOGS, "otlp", 1, 1, logs_payload("a"))
            letters.put(DeadLetter.of(record, Source(UUID(int=1), reader), "bad", 2))
        await replay(config, letters, [letter.id for letter in letters.list()], outcomes.append)
        assert letters.count() == 2
    assert all("no other process can add to it; send its content" in outcome.problem for outcome in outcomes)
