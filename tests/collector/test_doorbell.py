"""Doorbells: who reads the signal hears at once, all others within a second, so that they do not hold the trim."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from ganglion_collector.doorbell import Bells, Doorbell, make_doorbell
from ganglion_collector.otlp import Signal


@pytest.fixture
def pipes() -> Iterator[dict[Signal, tuple[int, int]]]:
    made = {signal: make_doorbell() for signal in (Signal.LOGS, Signal.TRACES)}
    yield made
    for end in (end for pair in made.values() for end in pair):
        os.close(end)


async def test_readers_of_the_signal_are_woken_at_once_and_the_others_soon(
    pipes: dict[Signal, tuple[int, int]],
) -> None:
    logs, traces = (Doorbell(reading) for reading, _ in pipes.values())
    bells = Bells({signal: [writing] for signal, (_, writing) in pipes.items()})
    bells.ring([Signal.LOGS])
    assert os.read(pipes[Signal.LOGS][0], 10) == b"\0"
    with pytest.raises(BlockingIOError):
        os.read(pipes[Signal.TRACES][0], 10)
    async with asyncio.timeout(5):
        await traces.wait()
        await logs.wait()


async def test_everyone_is_woken_once_a_second_at_most(pipes: dict[Signal, tuple[int, int]]) -> None:
    bells = Bells({signal: [writing] for signal, (_, writing) in pipes.items()})
    for _ in range(5):
        bells.ring([Signal.LOGS])
    traces = Doorbell(pipes[Signal.TRACES][0])
    async with asyncio.timeout(5):
        await traces.wait()
    assert os.read(pipes[Signal.TRACES][0], 10) == b"\0"
    bells.ring([Signal.TRACES])
    assert os.read(pipes[Signal.TRACES][0], 10) == b"\0"
