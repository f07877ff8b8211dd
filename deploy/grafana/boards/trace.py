"""One request by its trace id: its spans, everything that it logged, what it cost."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards.frame import assemble, in_ganglion, trace_id
from deploy.grafana.boards.panels import About, rows_of_sql, trace_view

__all__ = ["dashboard"]

# A trace id that is none finds nothing, and is no error. The text is cast when it has been looked at, not when the
# statement is read.
_THIS = (
    "trace_id = CASE WHEN trim(${trace_id:sqlstring}) ~ '^[0-9A-Fa-f]{32}$|^[0-9A-Fa-f-]{36}$'"
    " THEN trim(${trace_id:sqlstring})::text::uuid END"
)


def dashboard() -> Dashboard:
    return assemble(
        "ganglion-trace",
        "one request",
        "Everything about one trace id: spans, logs, cost. It is found whatever the time range.",
        (trace_id(),),
        (
            (
                "Spans",
                (
                    trace_view(
                        About(
                            "Trace",
                            "The spans of the request, from the data source of traces.",
                            "ms",
                            width=24,
                            height=14,
                        ),
                        "${trace_id}",
                    ),
                ),
            ),
            (
                "What happened",
                (
                    rows_of_sql(
                        About("Summary", "The request in one line.", "string", width=24, height=4),
                        f"""\
SELECT min(start_time) AS time, count(*) AS spans, count(*) FILTER (WHERE status = 'ERROR') AS failed_spans,
       extract(epoch FROM max(end_time) - min(start_time)) * 1000 AS duration_ms,
       (SELECT sum(cost_usd) FROM logs WHERE {_THIS}) AS cost_usd,
       string_agg(DISTINCT service_name, ', ') AS services
FROM spans WHERE {_THIS}
HAVING count(*) > 0
""",
                    ),
                    rows_of_sql(
                        About("Logs", "Every log of the request, in order.", "string", width=24, height=12),
                        f"""\
SELECT timestamp AS time, level, service_name, logger, message, duration_ms, cost_usd, error,
       context, metrics, stack_trace
FROM logs WHERE {_THIS}
ORDER BY timestamp LIMIT 1000
""",
                    ),
                    rows_of_sql(
                        About(
                            "Slowest spans", "Spans of the request from the slowest on.", "string", width=24, height=10
                        ),
                        f"""\
SELECT start_time AS time, service_name, name, kind, duration_ms, status, status_message, attributes
FROM spans WHERE {_THIS}
ORDER BY duration_ms DESC NULLS LAST LIMIT 200
""",
                    ),
                ),
            ),
        ),
        links=(in_ganglion(),),
    )
