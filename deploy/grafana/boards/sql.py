"""Queries in SQL over the tables that the exporter `postgresql` keeps (docs/schema.md).

What was chosen stands as a regular expression between dollar quotes: Grafana's format `regex` puts a backslash before
each dollar, so that no service name, whoever sent it, ends the quotes.
"""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import AnnotationTarget

from deploy.grafana.boards.sources import POSTGRESQL

__all__ = ["LOGS", "SPANS", "DeploymentsTarget", "SQLQuery", "SQLQueryBuilder", "like_chosen"]


def like_chosen(text: str, variable: str) -> str:
    """Return the condition that `text` is one of what the variable holds."""
    return f"coalesce({text}, '') ~ $$\\A(?:${{{variable}:regex}})\\Z$$"


_ENVIRONMENT = "coalesce(attributes->>'deployment.environment.name', attributes->>'deployment.environment')"


def _condition(*conditions: str) -> str:
    return " AND ".join(conditions)


LOGS = _condition(
    "$__timeFilter(timestamp)", like_chosen("service_name", "service"), like_chosen("environment", "environment")
)
"""Condition: logs of the time range, services and environments chosen."""

SPANS = _condition(
    "$__timeFilter(start_time)",
    like_chosen("service_name", "service"),
    f"resource_id IN (SELECT id FROM resources WHERE {like_chosen(_ENVIRONMENT, 'environment')})",
)
"""Condition: spans of the time range, services and environments chosen."""


class SQLQuery(Dataquery):
    """A query of the data source PostgreSQL, for which the SDK has no model; a table or, `over_time`, a time series."""

    def __init__(self, sql: str, ref_id: str, *, over_time: bool = False) -> None:
        self.sql = sql
        self.ref_id = ref_id
        self.over_time = over_time

    def to_json(self) -> dict[str, object]:
        return {
            "datasource": POSTGRESQL,
            "editorMode": "code",
            "format": "time_series" if self.over_time else "table",
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": self.ref_id,
        }


class SQLQueryBuilder(Builder[Dataquery]):
    """Gives an SQLQuery to where the SDK wants a builder."""

    def __init__(self, sql: str, *, over_time: bool = False) -> None:
        self._query = SQLQuery(sql, "A", over_time=over_time)

    def build(self) -> Dataquery:
        return self._query


class _SQLAnnotation(AnnotationTarget):
    def __init__(self, sql: str) -> None:
        super().__init__()
        self._query = SQLQuery(sql, "Annotations")

    def to_json(self) -> dict[str, object]:
        return self._query.to_json()


class DeploymentsTarget(Builder[AnnotationTarget]):
    """The first time that each version of a service was seen."""

    def build(self) -> AnnotationTarget:
        return _SQLAnnotation(f"""\
SELECT first_seen AS time, concat_ws(' ', service_name, version) AS text, version AS tags
FROM (
  SELECT service_name, attributes->>'service.version' AS version, min(first_seen) AS first_seen
  FROM resources
  WHERE {like_chosen("service_name", "service")} AND {like_chosen(_ENVIRONMENT, "environment")}
  GROUP BY 1, 2
) AS versions
WHERE version IS NOT NULL AND $__timeFilter(first_seen)
ORDER BY first_seen
""")
