"""What holds for everything that remembers: connectors and transforms."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import msgspec
import pytest
from ganglion_collector.component import Batch, Connector, Derived, Position, Signal, Stateful, Transform
from ganglion_collector.connectors.count import CountConfig, CountConnector
from ganglion_collector.connectors.span_metrics import SpanMetricsConfig, SpanMetricsConnector
from ganglion_collector.errors import PermanentError
from ganglion_collector.processors.cumulativetodelta import CumulativeToDelta, CumulativeToDeltaConfig
from ganglion_collector.processors.deltatocumulative import DeltaToCumulative, DeltaToCumulativeConfig
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.deriving import SECOND, START, batch_of, metric_request, metrics_in, traces

Make: TypeAlias = Callable[[], Any]


def span_metrics(**config: Any) -> SpanMetricsConnector:
    return SpanMetricsConnector(SpanMetricsConfig.model_validate(config))


EVENTS = {"enabled": True, "dimensions": [{"name": "exception.type"}]}
CONNECTORS: dict[str, Callable[[], Connector]] = {
    "span_metrics": lambda: span_metrics(dimensions=[{"name": "env"}], events=EVENTS),
    "span_metrics of deltas": lambda: span_metrics(aggregation_temporality="AGGREGATION_TEMPORALITY_DELTA"),
    "span_metrics in exponential buckets": lambda: span_metrics(histogram={"exponential": {"max_size": 10}}),
    "span_metrics of few series": lambda: span_metrics(aggregation_cardinality_limit=2),
    "count": lambda: CountConnector(CountConfig()),
    "count by attributes": lambda: CountConnector(
        CountConfig.model_validate({"spans": {"spans": {"attributes": [{"key": "env", "default_value": ""}]}}})
    ),
}
TRANSFORMS: dict[str, Callable[[], Transform]] = {
    "deltatocumulative": lambda: DeltaToCumulative(DeltaToCumulativeConfig()),
    "cumulativetodelta": lambda: CumulativeToDelta(CumulativeToDeltaConfig(initial_value="keep")),
}
connectors = pytest.mark.parametrize("make", CONNECTORS.values(), ids=CONNECTORS.keys())
transforms = pytest.mark.parametrize("make", TRANSFORMS.values(), ids=TRANSFORMS.keys())
everything = pytest.mark.parametrize(
    "make", [*CONNECTORS.values(), *TRANSFORMS.values()], ids=[*CONNECTORS.keys(), *TRANSFORMS.keys()]
)


def spans(step: int) -> Batch:
    given = [
        {
            "name": f"n{number % 4}",
            "duration": 3**number,
            "attributes": {"env": "prod"} if number % 2 else {},
            "events": [{"exception.type": "ValueError"}] * (number % 3),
        }
        for number in range(step, step + 12)
    ]
    return traces(*given, received_at=START + step * SECOND)


def points(step: int) -> Batch:
    """Return a batch of points of either temporality and each kind."""
    times = {"start_time_unix_nano": START + step * SECOND, "time_unix_nano": START + (step + 1) * SECOND}
    requests = []
    for temporality in (1, 2):
        total = step + 1 if temporality == 2 else 1
        start = {} if temporality == 1 else {"start_time_unix_nano": START}
        histogram = {
            **times,
            **start,
            "count": total,
            "sum": 1.5,
            "bucket_counts": [0, total],
            "explicit_bounds": [1.0],
        }
        exponential = {**times, **start, "count": total, "zero_count": total}
        requests += [
            metric_request("sum", {**times, **start, "as_int": total}, temporality=temporality),
            metric_request("histogram", histogram, temporality=temporality),
            metric_request("exponential_histogram", exponential, temporality=temporality),
        ]
    return batch_of(Signal.METRICS, *requests, received_at=START + step * SECOND)


def run(component: Any, step: int) -> object:
    """Let `component` take the batch of a step; return what comes out."""
    if isinstance(component, Transform):
        return component.process(points(step))
    component.consume(spans(step))
    return component.flush(START + (100 + step) * SECOND) if step % 2 else ()


@everything
@given(cut=st.integers(0, 6))
def test_a_restored_component_goes_on_as_if_nothing_had_happened(make: Make, cut: int) -> None:
    steady, before = make(), make()
    for step in range(cut):
        assert run(steady, step) == run(before, step)
    after = make()
    after.restore(before.state())
    for step in range(cut, 8):
        assert run(steady, step) == run(after, step)
    assert steady.state() == after.state()


@everything
def test_restoring_takes_the_place_of_what_was_there(make: Make) -> None:
    steady, used = make(), make()
    run(steady, 0)
    state = steady.state()
    run(used, 0)
    run(used, 2)
    used.restore(state)
    for step in range(2, 6):
        assert run(used, step) == run(steady, step)


@everything
@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\x00",
        b"\xff" * 40,
        b'{"version": 1}',
        msgspec.msgpack.encode([99, "x", {}]),
        msgspec.msgpack.encode([99]),
    ],
    ids=["empty", "zero", "noise", "text", "other version", "short"],
)
def test_wrong_bytes_are_no_state_and_change_nothing(make: Make, state: bytes) -> None:
    component = make()
    run(component, 0)
    before = component.state()
    with pytest.raises(ValueError, match=r"\w"):
        component.restore(state)
    assert component.state() == before


@everything
@given(cut=st.integers(1, 200))
def test_a_torn_state_is_refused(make: Make, cut: int) -> None:
    component = make()
    run(component, 0)
    state = component.state()
    with pytest.raises(ValueError, match=r"\w"):
        make().restore(state[: max(0, len(state) - cut)])


@everything
def test_an_empty_batch_changes_nothing(make: Make) -> None:
    component = make()
    run(component, 0)
    before = component.state()
    empty = Batch(Signal.TRACES, (), spans(0).source, Position(), Position(9))
    if isinstance(component, Transform):
        assert component.process(replace(empty, signal=Signal.METRICS)) == replace(empty, signal=Signal.METRICS)
    else:
        component.consume(empty)
    assert component.state() == before


@connectors
def test_a_batch_that_cannot_be_read_is_refused_whole(make: Callable[[], Connector]) -> None:
    component = make()
    component.consume(spans(0))
    before = component.state()
    good = spans(1)
    bad = replace(good.records[0], sequence=1, payload=b"\xff\xff\xff")
    with pytest.raises(PermanentError):
        component.consume(replace(good, records=(*good.records, bad)))
    assert component.state() == before


@connectors
def test_the_same_batches_make_the_same_state(make: Callable[[], Connector]) -> None:
    one, two = make(), make()
    for component in (one, two):
        component.consume(spans(0))
        component.consume(spans(0))
    assert one.state() == two.state()
    assert one.flush(START + 9 * SECOND) == two.flush(START + 9 * SECOND)


@connectors
def test_a_batch_taken_twice_counts_twice(make: Callable[[], Connector]) -> None:
    once, twice = make(), make()
    once.consume(spans(0))
    twice.consume(spans(0))
    twice.consume(spans(0))
    now = START + SECOND
    assert 2 * _calls(once.flush(now)) == _calls(twice.flush(now)) > 0


def _calls(found: Any) -> int:
    derived: list[Derived] = list(found)
    return sum(
        point.as_int
        for metric in metrics_in(derived)
        if metric.name in {"traces.span.metrics.calls", "trace.span.count", "spans"}
        for point in metric.sum.data_points
    )


@connectors
def test_nothing_taken_in_gives_nothing_out(make: Callable[[], Connector]) -> None:
    assert list(make().flush(START)) == []


@transforms
def test_points_processed_twice_count_once(make: Callable[[], Transform]) -> None:
    component = make()
    component.process(points(0))
    found = component.process(points(0))
    untouched = 3
    assert found.item_count == untouched


@transforms
def test_a_batch_keeps_its_place(make: Callable[[], Transform]) -> None:
    batch = points(0)
    found = make().process(batch)
    assert (found.source, found.start, found.end, found.signal) == (batch.source, batch.start, batch.end, batch.signal)


@everything
def test_it_is_of_its_kind(make: Make) -> None:
    assert isinstance(make(), Stateful)
