"""Panels with our defaults: what is shown, in which unit, and what is good or bad."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar
from urllib.parse import quote

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DataSourceRef,
    DynamicConfigValue,
    Panel,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from deploy.grafana.boards.sources import PAGE, POSTGRESQL, PROMETHEUS, TRACES
from deploy.grafana.boards.sql import SQLQueryBuilder

__all__ = [
    "About",
    "Query",
    "alert_table",
    "bars",
    "figure",
    "number",
    "over_time",
    "over_time_sql",
    "rows",
    "rows_of_sql",
    "trace_view",
]

Steps = tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class About:
    """What a panel says of itself; `steps` are (from this value on, colour), green below the first."""

    title: str
    description: str
    unit: str
    steps: Steps = ()
    width: int = 12
    height: int = 8


@dataclass(frozen=True, slots=True)
class Query:
    """An expression of PromQL; `legend` is Grafana's template of a series' name."""

    expression: str
    legend: str = ""
    exemplars: bool = False


class _Dressed(Protocol):
    """What the builders of all panels have."""

    def title(self, title: str, /) -> Self: ...
    def description(self, description: str, /) -> Self: ...
    def unit(self, unit: str, /) -> Self: ...
    def datasource(self, datasource: DataSourceRef, /) -> Self: ...
    def span(self, w: int, /) -> Self: ...
    def height(self, h: int, /) -> Self: ...
    def thresholds(self, thresholds: Builder[ThresholdsConfig], /) -> Self: ...


B = TypeVar("B", bound=_Dressed)


def over_time(about: About, *queries: Query, stacked: bool = False, most: float | None = None) -> Panel:
    """Return lines over time; `most` is the largest value that there can be."""
    panel = _lines(about, stacked=stacked).datasource(PROMETHEUS)
    if most is not None:
        panel.max(most)
    for ref, query in _lettered(queries):
        panel.with_target(_target(query, ref).range())
    return panel.build()


def over_time_sql(about: About, sql: str) -> Panel:
    """Return lines over time of a query whose columns are `time`, perhaps `metric`, and values."""
    panel = _lines(about, stacked=False).datasource(POSTGRESQL)
    return panel.with_target(SQLQueryBuilder(sql, over_time=True)).build()


def number(about: About, query: Query) -> Panel:
    """Return one number over the whole time range."""
    panel = _dress(stat.Panel(), about).datasource(PROMETHEUS)
    panel.color_mode(look.BigValueColorMode.VALUE).graph_mode(look.BigValueGraphMode.NONE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).no_value("none")
    return panel.with_target(_target(query, "A").instant()).build()


def figure(title: str, description: str, unit: str, expression: str, steps: Steps = ()) -> Panel:
    """Return a small number over the whole time range."""
    return number(About(title, description, unit, steps, width=4, height=4), Query(expression))


def bars(about: About, *queries: Query) -> Panel:
    """Return one bar for each series, over the whole time range."""
    panel = _dress(bargauge.Panel(), about).datasource(PROMETHEUS)
    panel.orientation(look.VizOrientation.HORIZONTAL).display_mode(look.BarGaugeDisplayMode.BASIC)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).min(0).no_value("none")
    for ref, query in _lettered(queries):
        panel.with_target(_target(query, ref).instant())
    return panel.build()


def rows(about: About, query: Query) -> Panel:
    """Return a table of the labels and values of each series, now."""
    panel = _dress(table.Panel(), about).datasource(PROMETHEUS).no_value("none")
    return panel.with_target(_target(query, "A").instant().format(PromQueryFormat.TABLE)).build()


def alert_table(about: About) -> Panel:
    """Return the alerts that fire or are about to."""
    columns = "alertname, severity, alertstate, job, layer, operation, service_name, span_name, component, exporter"
    return rows(about, Query(f"max by ({columns}) (ALERTS)"))


def rows_of_sql(about: About, sql: str) -> Panel:
    """Return a table; a column `trace_id`, 32 hexadecimal digits, leads to the trace and to all that is known of it."""
    panel = _dress(table.Panel(), about).datasource(POSTGRESQL).no_value("none")
    panel.override_by_name("trace_id", [DynamicConfigValue(id_val="links", value=_trace_links())])
    for column, unit in (("duration_ms", "ms"), ("cost_usd", "currencyUSD")):
        panel.override_by_name(column, [DynamicConfigValue(id_val="unit", value=unit)])
    return panel.with_target(SQLQueryBuilder(sql)).build()


def trace_view(about: About, trace_id: str) -> Panel:
    """Return the waterfall of one trace."""
    panel = _dress(build.Panel().type("traces"), about).datasource(TRACES)
    return panel.with_target(_TraceQuery(trace_id)).build()


class _TraceQuery(Dataquery, Builder[Dataquery]):
    """The one trace of an id, asked of the traces' data source, for which the SDK has no model."""

    def __init__(self, trace_id: str) -> None:
        self._trace_id = trace_id

    def build(self) -> Dataquery:
        return self

    def to_json(self) -> dict[str, object]:
        return {"datasource": TRACES, "query": self._trace_id, "refId": "A"}


def _dress(panel: B, about: About) -> B:
    steps = [
        Threshold(value=None, color="green"),
        *(Threshold(value=value, color=color) for value, color in about.steps),
    ]
    thresholds = build.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    panel.title(about.title).description(about.description).unit(about.unit).thresholds(thresholds)
    return panel.span(about.width).height(about.height)


def _lines(about: About, *, stacked: bool) -> timeseries.Panel:
    panel = _dress(timeseries.Panel(), about).min(0).fill_opacity(10).show_points(look.VisibilityMode.AUTO)
    panel.legend(
        common.VizLegendOptions().display_mode(look.LegendDisplayMode.LIST).placement(look.LegendPlacement.BOTTOM)
    )
    panel.tooltip(common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING))
    if stacked:
        panel.stacking(common.StackingConfig().mode(look.StackingMode.NORMAL).group("A")).fill_opacity(40)
    if about.steps:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(look.GraphThresholdsStyleMode.DASHED))
    return panel


def _lettered(queries: tuple[Query, ...]) -> Iterator[tuple[str, Query]]:
    return zip("ABCDEFGH", queries, strict=False)


def _target(query: Query, ref_id: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(ref_id).datasource(PROMETHEUS)
    target.editor_mode(QueryEditorMode.CODE).exemplar(query.exemplars)
    return target.legend_format(query.legend) if query.legend else target


def _trace_links() -> list[DashboardLink]:
    explored = {
        "trace": {
            "datasource": TRACES.uid,
            "queries": [{"refId": "A", "datasource": TRACES.to_json(), "query": "TRACE"}],
            "range": {"from": "FROM", "to": "TO"},
        }
    }
    panes = quote(json.dumps(explored, separators=(",", ":")))
    for word, variable in (("TRACE", "${__value.raw}"), ("FROM", "${__from}"), ("TO", "${__to}")):
        panes = panes.replace(f"%22{word}%22", f"%22{variable}%22")
    return [
        DashboardLink(title="Everything about the request", url="/d/ganglion-trace?var-trace_id=${__value.raw}"),
        DashboardLink(title="Spans of the trace", url=f"/explore?schemaVersion=1&panes={panes}"),
        DashboardLink(title="In Ganglion", url=f"{PAGE}/trace/${{__value.raw}}", target_blank=True),
    ]
