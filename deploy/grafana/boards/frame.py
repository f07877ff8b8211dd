"""What all dashboards share: variables, links between them, deployments as annotations, and where panels stand."""

from collections.abc import Iterable, Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLink,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.boards.sources import PAGE, POSTGRESQL, PROMETHEUS
from deploy.grafana.boards.sql import DeploymentsTarget

__all__ = ["COLLECTOR", "ENVIRONMENT", "LAYER", "MODEL", "SERVICE", "assemble", "in_ganglion", "trace_id"]

Variable = Builder[VariableModel]
Section = tuple[str, Sequence[Panel]]
Link = Builder[DashboardLink]

_WIDTH = 24
_ALL = VariableOption(text="All", value="$__all")
_LAYERS = ("ingestion", "data", "retrieval", "generation", "evaluation", "memory")
_SEEN = '{__name__=~"rag_requests_total|traces_span_metrics_calls_total|target_info"}'


def _of_label(name: str, series: str, label: str, description: str) -> build.QueryVariable:
    query: dict[str, object] = {"qryType": 1, "query": f"label_values({series}, {label})", "refId": name}
    variable = build.QueryVariable(name).query(query).datasource(PROMETHEUS).description(description)
    variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    return variable.multi(multi=True).include_all(include_all=True).all_value(".*").current(_ALL)


SERVICE = _of_label("service", _SEEN, "job", "service.name").label("Service").regex("/(?:.*\\/)?([^\\/]+)$/")
ENVIRONMENT = _of_label(
    "environment", "target_info", "deployment_environment_name", "deployment.environment.name of the resource"
).label("Environment")
MODEL = _of_label(
    "model", '{__name__=~"rag_token_usage_count|rag_cost_usd_total"}', "model", "model of a language or embedding"
).label("Model")
COLLECTOR = _of_label("collector", "ganglion_component_healthy", "instance", "address of a collector").label(
    "Collector"
)
LAYER = (
    build.CustomVariable("layer")
    .values(",".join(_LAYERS))
    .options([VariableOption(text=layer, value=layer) for layer in _LAYERS])
    .multi(multi=True)
    .include_all(include_all=True)
    .all_value(".*")
    .current(_ALL)
    .label("Layer")
    .description("layer of a RAG service")
)


def trace_id() -> build.TextBoxVariable:
    """Return the variable that a person writes, or a link gives, a trace id to."""
    empty = VariableOption(text="", value="")
    return build.TextBoxVariable("trace_id").default_value("").current(empty).label("Trace id")


def assemble(
    uid: str,
    title: str,
    description: str,
    variables: Iterable[Variable],
    sections: Iterable[Section],
    links: Iterable[Link] = (),
) -> Dashboard:
    """Return a dashboard of `sections`, rows with a title and panels that flow from left to right.

    `links` stand beside that to the other dashboards.
    """
    chosen = list(variables)
    dashboard = build.Dashboard(f"Ganglion: {title}").uid(uid).description(description).tags(["ganglion"])
    dashboard.variables(chosen).links([_others(), *links]).time("now-3h", "now").refresh("30s")
    dashboard.timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR).readonly()
    if SERVICE in chosen:
        dashboard.annotations([_deployments()])
    built = dashboard.build()
    built.panels = list(_placed(sections))
    return built


def in_ganglion() -> build.DashboardLink:
    """Return a link to the page of the request that `trace_id` names."""
    link = build.DashboardLink("In Ganglion").type(DashboardLinkType.LINK).url(f"{PAGE}/trace/${{trace_id}}")
    return link.target_blank(target_blank=True).icon("external link").tooltip("The request on Ganglion's own page")


def _others() -> build.DashboardLink:
    link = build.DashboardLink("Ganglion").type(DashboardLinkType.DASHBOARDS).tags(["ganglion"])
    return (
        link.as_dropdown(as_dropdown=True)
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
        .icon("external link")
    )


def _deployments() -> build.AnnotationQuery:
    query = build.AnnotationQuery().name("Deployments").datasource(POSTGRESQL).icon_color("purple")
    return query.enable(enable=True).target(DeploymentsTarget())


def _placed(sections: Iterable[Section]) -> Iterable[Panel | RowPanel]:
    """Yield rows and panels with their ids and places on a grid of 24 columns."""
    number = y = 0
    for title, panels in sections:
        number += 1
        yield RowPanel(title=title, id_val=number, grid_pos=GridPos(x=0, y=y, w=_WIDTH, h=1))
        x, line, y = 0, 0, y + 1
        for panel in panels:
            place = panel.grid_pos or GridPos()
            if x + place.w > _WIDTH:
                x, line, y = 0, 0, y + line
            number += 1
            panel.id_val = number
            panel.grid_pos = GridPos(x=x, y=y, w=place.w, h=place.h)
            x, line = x + place.w, max(line, place.h)
            yield panel
        y += line
