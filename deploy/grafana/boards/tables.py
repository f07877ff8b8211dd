"""Tables of logs and spans in PostgreSQL, each row with its trace id."""

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.boards.panels import About, rows_of_sql
from deploy.grafana.boards.sql import LOGS, SPANS

__all__ = ["errors", "most_expensive_traces", "slowest_operations", "slowest_requests"]

_TRACE_ID = "replace(trace_id::text, '-', '') AS trace_id"


def errors(condition: str = "true", title: str = "Errors") -> Panel:
    """Return the latest errors that were logged; `condition` is one more in SQL."""
    about = About(title, "The latest 50 logs of level ERROR and CRITICAL.", "string", width=24, height=9)
    return rows_of_sql(
        about,
        f"""\
SELECT timestamp AS time, service_name, logger, message, error, user_id, {_TRACE_ID}
FROM logs
WHERE {LOGS} AND level IN ('ERROR', 'CRITICAL') AND {condition}
ORDER BY timestamp DESC LIMIT 50
""",
    )


def slowest_requests() -> Panel:
    about = About("Slowest requests", "Spans without a parent that took longest.", "string", height=9)
    return rows_of_sql(
        about,
        f"""\
SELECT start_time AS time, service_name, name, duration_ms, status, user_id, {_TRACE_ID}
FROM spans
WHERE {SPANS} AND parent_span_id IS NULL AND duration_ms IS NOT NULL
ORDER BY duration_ms DESC LIMIT 20
""",
    )


def slowest_operations(layers: str) -> Panel:
    """Return the slowest spans of some layers; `layers` is a regular expression."""
    about = About("Slowest operations", "Operations of these layers that took longest.", "string", height=9)
    return rows_of_sql(
        about,
        f"""\
SELECT start_time AS time, service_name, name, duration_ms, status, user_id, {_TRACE_ID}
FROM spans
WHERE {SPANS} AND name ~ '^({layers})[.]' AND duration_ms IS NOT NULL
ORDER BY duration_ms DESC LIMIT 20
""",
    )


def most_expensive_traces() -> Panel:
    about = About(
        "Most expensive requests", "Requests by the sum of what their logs say they cost.", "string", height=9
    )
    return rows_of_sql(
        about,
        f"""\
SELECT min(timestamp) AS time, sum(cost_usd) AS cost_usd, count(*) AS charges,
       max(service_name) AS service_name, max(user_id) AS user_id, {_TRACE_ID}
FROM logs
WHERE {LOGS} AND cost_usd > 0 AND trace_id IS NOT NULL
GROUP BY trace_id ORDER BY cost_usd DESC LIMIT 20
""",
    )
