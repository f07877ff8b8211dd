"""A worker is well where both its delivery and its exporter say so."""

import pytest
from ganglion_collector.joined_health import JoinedHealth


class Told:
    def __init__(self) -> None:
        self.words: list[str] = []

    def ok(self) -> None:
        self.words.append("")

    def failing(self, reason: str) -> None:
        self.words.append(reason)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["ok"], ""),
        (["ok", "own: no key"], "own: no key"),
        (["ok", "own: no key", "ok"], "own: no key"),
        (["own: no key", "failing"], "no room"),
        (["own: no key", "failing", "ok"], "own: no key"),
        (["ok", "own: no key", ""], ""),
        (["failing", ""], "no room"),
    ],
)
def test_whoever_is_not_well_is_heard(steps: list[str], expected: str) -> None:
    told = Told()
    health = JoinedHealth(told)
    for step in steps:
        match step:
            case "ok":
                health.ok()
            case "failing":
                health.failing("no room")
            case reported:
                health.report(reported)

    assert told.words[-1] == expected


def test_an_exporter_alone_does_not_say_that_the_worker_has_started() -> None:
    told = Told()

    JoinedHealth(told).report("")

    assert told.words == []
