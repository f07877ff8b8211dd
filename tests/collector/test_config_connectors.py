"""Connectors in a configuration: what joins pipelines, and what cannot."""

import json
from pathlib import Path
from typing import Any

import pytest
from ganglion_collector.config import from_mapping, json_schema, list_components, load
from ganglion_collector.config.connections import circles, loose_ends, makes
from ganglion_collector.config.model import Pipeline
from ganglion_collector.errors import InvalidConfigError
from ganglion_collector.otlp import Signal
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.acme import install, relay, tally

JOINED = """
receivers: {acme: }
processors: {halve: }
exporters: {acme: {endpoint: there}, page: {endpoint: here}}
connectors: {tally: {interval: 2s}, tally/unused: }
service:
  pipelines:
    traces: {receivers: [acme], exporters: [acme, tally]}
    logs: {receivers: [acme], exporters: [tally]}
    metrics: {receivers: [acme, tally], processors: [halve], exporters: [page]}
    metrics/2: {receivers: [tally], exporters: [page]}
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)


def pipeline(id_: str, receivers: tuple[str, ...], exporters: tuple[str, ...]) -> Pipeline:
    return Pipeline(id_, Signal(id_.partition("/")[0]), receivers, (), exporters)


def test_a_connector_ends_some_pipelines_and_begins_others() -> None:
    config = load([f"yaml:{JOINED}"], environ={})

    assert list(config.connectors) == ["tally"]
    assert config.connectors["tally"].factory is tally
    assert config.pipelines["traces"].exporters == ("acme", "tally")
    assert config.pipelines["metrics"].receivers == ("acme", "tally")


def test_a_connector_is_no_receiver_and_no_exporter() -> None:
    config = load([f"yaml:{JOINED}"], environ={})

    assert set(config.receivers) == {"acme"}
    assert set(config.exporters) == {"acme", "page"}


def test_several_pipelines_share_an_exporter() -> None:
    pipelines = load([f"yaml:{JOINED}"], environ={}).pipelines.values()

    assert [one.id for one in pipelines if "page" in one.exporters] == ["metrics", "metrics/2"]


def test_the_resolved_form_keeps_connectors() -> None:
    config = load([f"yaml:{JOINED}"], environ={})

    assert config.raw["connectors"] == {"tally": {"interval": "2s"}, "tally/unused": {}}
    assert from_mapping(json.loads(json.dumps(config.raw))) == config


def test_a_connector_that_only_the_collector_has_is_a_warning_where_it_is_not_used() -> None:
    config = load([f"yaml:{JOINED}", "yaml:connectors: {routing: {table: []}}"], environ={})

    (warning,) = config.warnings
    assert warning.startswith("connectors::routing is not used, and the OpenTelemetry Collector has the connector")


def test_one_signal_may_have_several_ways_through_a_connector() -> None:
    every = [pipeline(f"{one}/in", ("otlp",), ("relay",)) for one in Signal]
    every += [pipeline(f"{one}/out", ("relay",), ("debug",)) for one in Signal]

    assert list(loose_ends(every, {"relay": relay.pairs})) == []
    assert list(circles(every, {"relay": relay.pairs})) == []


def test_both_ends_that_do_not_fit_are_said() -> None:
    wrong = [pipeline("logs", ("otlp",), ("only",)), pipeline("traces", ("only",), ("debug",))]
    pairs = frozenset({(Signal.TRACES, Signal.METRICS)})

    assert [(error.path, error.reason) for error in loose_ends(wrong, {"only": pairs})] == [
        ("service::pipelines::logs::exporters", "this connector does not take logs: it makes metrics of traces"),
        ("service::pipelines::traces::receivers", "this connector does not make traces: it makes metrics of traces"),
    ]


def test_a_connector_that_joins_nothing_fits_nowhere() -> None:
    (error,) = loose_ends([pipeline("logs", ("otlp",), ("none",))], {"none": frozenset()})

    assert error.reason == "this connector does not take logs: it makes nothing"


def test_signals_that_a_connector_does_not_join_make_no_circle() -> None:
    crossed = [pipeline("traces", ("otlp", "tally"), ("tally",)), pipeline("metrics", ("tally",), ("debug",))]

    assert list(circles(crossed, {"tally": tally.pairs})) == []


def test_a_connector_does_not_get_what_it_made_even_as_another_signal() -> None:
    pairs = frozenset({(Signal.TRACES, Signal.METRICS), (Signal.METRICS, Signal.LOGS)})
    in_a_row = [
        pipeline("traces", ("otlp",), ("turn",)),
        pipeline("metrics", ("turn",), ("turn",)),
        pipeline("logs", ("turn",), ("debug",)),
    ]

    (error,) = circles(in_a_row, {"turn": pairs})

    assert error.reason == "this connector leads in a circle: metrics → turn → metrics"


def test_a_pipeline_feeds_a_connector_only_with_what_it_takes() -> None:
    made = [pipeline("metrics", ("tally",), ("tally",)), pipeline("logs", ("otlp",), ("tally",))]

    assert list(circles(made, {"tally": tally.pairs})) == []


def test_of_a_pipeline_that_is_none_only_this_is_said() -> None:
    wrong = JOINED.replace("metrics:", "metric:").replace("metrics/2:", "metric/2:")

    with pytest.raises(InvalidConfigError) as caught:
        load([f"yaml:{wrong}"], environ={})

    assert [error.path for error in caught.value.errors] == [
        "service::pipelines::metric",
        "service::pipelines::metric/2",
    ]


MORE_PAGES = """
exporters: {page/page: {endpoint: there}}
service:
  pipelines:
    metrics: {exporters: [page/page]}
    metrics/page: {receivers: [acme], exporters: [page]}
"""


def test_readers_of_one_name_are_refused_for_shared_exporters_too() -> None:
    with pytest.raises(InvalidConfigError, match="two pipelines with this exporter have one name; rename"):
        load([f"yaml:{JOINED}", f"yaml:{MORE_PAGES}"], environ={})


def test_a_shared_exporter_may_be_called_as_the_reader_of_another_that_is_shared() -> None:
    pages = "{exporters: {traces/page: {endpoint: x}}, service: {pipelines: {logs: {exporters: [traces/page]}}}}"
    both = "service: {pipelines: {traces: {exporters: [page, acme, tally]}}}"

    assert load([f"yaml:{JOINED}", f"yaml:{pages}", f"yaml:{both}"], environ={}).pipelines


NAMES = ["traces/a", "traces/b", "traces/c", "traces/d"]
RELAYS = ["relay/1", "relay/2", "relay/3"]
some_relays = st.lists(st.sampled_from(RELAYS), unique=True, max_size=2).map(tuple)


def feeds(pipelines: list[Pipeline]) -> set[tuple[str, str]]:
    return {(one.id, other.id) for one in pipelines for other in pipelines if set(one.exporters) & set(other.receivers)}


def reach_themselves(edges: set[tuple[str, str]]) -> bool:
    for _ in NAMES:
        edges = edges | {(one, last) for one, middle in edges for other, last in edges if middle == other}
    return any(one == other for one, other in edges)


@given(st.lists(st.tuples(some_relays, some_relays), min_size=1, max_size=len(NAMES)))
def test_every_circle_is_found_and_nothing_else(ends: list[tuple[tuple[str, ...], tuple[str, ...]]]) -> None:
    pipelines = [pipeline(name, *both) for name, both in zip(NAMES, ends, strict=False)]

    found = list(circles(pipelines, dict.fromkeys(RELAYS, relay.pairs)))

    assert bool(found) is reach_themselves(feeds(pipelines))


@given(st.permutations(NAMES[:3]))
def test_a_circle_is_shown_from_its_first_pipeline_on(order: list[str]) -> None:
    follows = dict(zip(NAMES[:3], [*NAMES[1:3], NAMES[0]], strict=True))
    pipelines = [pipeline(one, (f"relay/to {one}",), (f"relay/to {follows[one]}",)) for one in order]
    first = order[0]
    way = [first, f"relay/to {follows[first]}", follows[first]]

    (error,) = circles(pipelines, {f"relay/to {one}": relay.pairs for one in NAMES})

    assert f"in a circle: {' → '.join(way)} → " in str(error)
    assert f" → {first};" in str(error)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (set(), "nothing"),
        ({(Signal.TRACES, Signal.METRICS)}, "metrics of traces"),
        ({(one, Signal.METRICS) for one in Signal}, "metrics of logs, metrics and traces"),
        ({(Signal.LOGS, Signal.LOGS), (Signal.LOGS, Signal.TRACES)}, "logs of logs; traces of logs"),
    ],
)  # fmt: skip
def test_what_a_connector_makes_is_said(pairs: set[Any], said: str) -> None:
    assert makes(frozenset(pairs)) == said


def test_connectors_are_listed_with_their_pairs() -> None:
    rows = {(row.kind, row.type): row for row in list_components()}

    assert rows["connector", "tally"].signals == ("logs-to-metrics", "traces-to-metrics")
    assert rows["connector", "broken"].problem.startswith("tests.collector.no_such_module:factory cannot be imported")
    assert rows["processor", "halve"].signals == ("metrics",)


def test_the_schema_has_connectors() -> None:
    patterns = json_schema()["properties"]["connectors"]["patternProperties"]

    assert "^(tally)(/.+)?$" in patterns
