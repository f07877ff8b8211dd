"""Ganglion itself: what it took, what it delivered, what waits, how it is."""

from collections.abc import Callable, Sequence

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.grafana.boards.frame import COLLECTOR, assemble
from deploy.grafana.boards.panels import About, Query, figure, over_time, rows
from deploy.grafana.boards.promql import INTERVAL, RANGE, own, own_increase, quantile_of, total

__all__ = ["dashboard"]

_ITEMS = (("spans", "spans"), ("metric_points", "metric points"), ("log_records", "log records"))
_ANY = ((1.0, "red"),)
_STEP = "in the interval between two points"


def dashboard() -> Dashboard:
    return assemble(
        "ganglion-collector",
        "Ganglion itself",
        "What the collector took, delivered and set aside, what waits, and how its processes are.",
        (COLLECTOR,),
        (
            ("The time range in figures", _figures()),
            ("Receivers", _receivers()),
            ("Exporters", _exporters()),
            ("Journal", _journal()),
            ("Connectors and processors", _connectors()),
            ("Metrics to Prometheus", _metrics()),
            ("Processes", _processes()),
        ),
    )


def _rate(metric: str) -> str:
    return f"rate({own(metric)}[{INTERVAL}])"


def _each(pattern: str, by: str, grown: Callable[[str], str] = _rate) -> list[Query]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
    return [Query(total(by, grown(pattern.format(items))), f"{words} {legend}") for items, words in _ITEMS]


def _quantiles(histogram: str, by: str) -> list[Query]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", ")) if by else ""
    buckets = f"rate({own(f'{histogram}_bucket')}[{INTERVAL}])"
    return [Query(quantile_of(q, by, buckets), f"{legend} {name}".strip()) for q, name in ((0.5, "p50"), (0.95, "p95"))]


def _over_time(title: str, description: str, unit: str, queries: Sequence[Query], *, stacked: bool = False) -> Panel:
    return over_time(About(title, description, unit, width=8), *queries, stacked=stacked)


def _figures() -> tuple[Panel, ...]:
    sick = f"count({own('ganglion_component_healthy')} == 0) or vector(0)"
    refused = " + ".join(_or_0(own_increase(f"otelcol_receiver_refused_{items}", window=RANGE)) for items, _ in _ITEMS)
    fullest = f"max({own('ganglion_journal_size_bytes')} / on (instance) {own('ganglion_journal_quota_bytes')})"
    letters = total("", own("ganglion_dead_letters"))
    restarts = total("", own_increase("ganglion_process_restarts", window=RANGE))
    full = ((0.8, "orange"), (0.95, "red"))
    return (
        figure("Unhealthy components", "Receivers and exporters that do not work now.", "short", sick, _ANY),
        figure(
            "Behind",
            "Age of the oldest item that an exporter has in hand.",
            "s",
            f"max({_age()})",
            ((300.0, "red"),),
        ),
        figure("Journal", "How full the journal is.", "percentunit", fullest, full),
        figure("Dead letters", "Items set aside and still there.", "short", letters, _ANY),
        figure("Refused", "Items that senders were told to keep.", "short", refused, _ANY),
        figure("Restarts", "Processes that ended and were started again.", "short", restarts, _ANY),
    )


def _or_0(series: str) -> str:
    return f"(sum({series}) or vector(0))"


def _age() -> str:
    received = own("ganglion_exporter_oldest_waiting_timestamp_seconds")  # 0 while nothing waits
    return f"(time() - ({received} > 0)) or {received}"


def _receivers() -> tuple[Panel, ...]:
    by = "receiver, transport"
    refused = _each("otelcol_receiver_refused_{}", by, own_increase)
    failed = _each("otelcol_receiver_failed_{}", by, own_increase)
    repeated = Query(own_increase("ganglion_journal_duplicate_requests"), "duplicates")
    outcome = Query(
        total("receiver, transport, outcome", _rate("otelcol_receiver_requests")), "{{transport}} {{outcome}}"
    )
    return (
        _over_time(
            "Accepted", "Items acknowledged, durable, a second.", "cps", _each("otelcol_receiver_accepted_{}", by)
        ),
        _over_time("Requests", "Requests a second by outcome.", "reqps", [outcome], stacked=True),
        _over_time("Duplicates", f"Retried requests, recognised and stored once, {_STEP}.", "short", [repeated]),
        _over_time("Refused", f"Items that senders were told to keep, {_STEP}.", "short", refused, stacked=True),
        _over_time("Lost", f"Items not taken because of an internal error, {_STEP}.", "short", failed, stacked=True),
    )


def _exporters() -> tuple[Panel, ...]:
    by = "exporter, data_type"
    legend = "{{exporter}} {{data_type}}"
    fill = f"{own('otelcol_exporter_queue_size')} / ignoring (__name__) ({own('otelcol_exporter_queue_capacity')} > 0)"
    aside = Query(
        total(f"{by}, reason", own_increase("ganglion_exporter_dead_lettered_items")), f"{legend} {{{{reason}}}}"
    )
    return (
        _over_time(
            "Sent", "Items that the destination has, a second.", "cps", _each("otelcol_exporter_sent_{}", "exporter")
        ),
        _over_time(
            "Failed attempts",
            "Items in attempts that failed, or rejected, a second.",
            "cps",
            _each("otelcol_exporter_send_failed_{}", "exporter"),
        ),
        _over_time("Behind", "Age of the oldest item in hand.", "s", [Query(f"max by ({by}) ({_age()})", legend)]),
        _over_time(
            "Duration of an export",
            "Successful attempts.",
            "s",
            _quantiles("ganglion_exporter_export_duration_seconds", by),
        ),
        _over_time(
            "Items of a batch", "Of delivered batches.", "short", _quantiles("ganglion_exporter_batch_items", by)
        ),
        _over_time("Queue", "Share of the journal that waits for an exporter.", "percentunit", [Query(fill, legend)]),
        _over_time(
            "Waiting requests",
            "Requests of the journal that a reader has not read.",
            "short",
            [Query(own("ganglion_reader_lag_requests"), "{{reader}}")],
        ),
        _over_time(
            "Under way", "Attempts under way.", "short", [Query(own("otelcol_exporter_in_flight_requests"), legend)]
        ),
        _over_time(
            "Set aside",
            f"Items moved to the dead letters {_STEP}.",
            "short",
            [aside],
            stacked=True,
        ),
    )


def _journal() -> tuple[Panel, ...]:
    size = [Query(own("ganglion_journal_size_bytes"), "on disk"), Query(own("ganglion_journal_quota_bytes"), "at most")]
    flow = [
        Query(_rate("ganglion_journal_appended_bytes"), "appended"),
        Query(_rate("ganglion_journal_trimmed_bytes"), "trimmed"),
    ]
    return (
        _over_time("Size", "On disk, and its quota.", "bytes", size),
        _over_time("In and out", "Bytes appended, and bytes given back.", "Bps", flow),
        _over_time(
            "Duration of a commit",
            "To disk, before the acknowledgement.",
            "s",
            _quantiles("ganglion_journal_commit_duration_seconds", ""),
        ),
        _over_time(
            "Requests of a commit",
            "Made durable together.",
            "short",
            _quantiles("ganglion_journal_commit_requests", ""),
        ),
    )


def _metrics() -> tuple[Panel, ...]:
    series = Query(total("", own("ganglion_prometheus_series")), "series")
    samples = Query(total("", _rate("ganglion_prometheusremotewrite_samples")), "samples")
    dropped = [
        Query(total("reason", own_increase(f"ganglion_{exporter}_dropped_points")), f"{exporter}: {{{{reason}}}}")
        for exporter in ("prometheus", "prometheusremotewrite")
    ]
    overflowed = Query(total("", own_increase("ganglion_prometheus_overflowed_points")), "points past max_series")
    expired = Query(total("", own_increase("ganglion_prometheus_expired_series")), "series expired")
    refused = Query(
        total("", own_increase("ganglion_prometheusremotewrite_partly_rejected_requests")), "requests partly rejected"
    )
    scraped = _quantiles("ganglion_prometheus_scrape_duration_seconds", "")
    return (
        _over_time("Series", "That a scrape of the Prometheus exporter shows.", "short", [series]),
        _over_time("Duration of a scrape", "Time to write its answer.", "s", scraped),
        _over_time("Remote write", "Samples and histograms that a destination has taken, a second.", "cps", [samples]),
        _over_time("Points left out", f"Points that cannot be shown or sent, {_STEP}.", "short", dropped),
        _over_time(
            "Limits",
            f"Series past a limit or expired, and rejections, {_STEP}.",
            "short",
            [overflowed, expired, refused],
        ),
    )


def _connectors() -> tuple[Panel, ...]:
    taken = Query(total("connector, outcome", _rate("otelcol_connector_consumed_items")), "{{connector}} {{outcome}}")
    made = Query(total("connector", _rate("otelcol_connector_produced_items")), "{{connector}} made")
    size, quota = (own(f"ganglion_derived_stream_{name}_bytes") for name in ("size", "quota"))
    dropped = own_increase("ganglion_component_dropped_items")
    over = own_increase("ganglion_component_overflow_items")
    return (
        _over_time("Connectors", "Items taken in and made, a second.", "cps", [taken, made]),
        _over_time(
            "Derived streams",
            "How full each is: what a connector made and is still kept. A full one stops its connector.",
            "percentunit",
            [Query(f"{size} / ignoring (__name__) ({quota} > 0)", "{{connector}}")],
        ),
        _over_time(
            "Left out by processors and connectors",
            f"Items dropped, or counted in an overflow series, {_STEP}.",
            "short",
            [
                Query(total("component, reason", dropped), "{{component}} dropped, {{reason}}"),
                Query(total("component", over), "{{component}} overflow"),
            ],
        ),
    )


def _processes() -> tuple[Panel, ...]:
    restarts = Query(own_increase("ganglion_process_restarts"), "{{process}}")
    health = rows(
        About("Components", "1 works, 0 does not.", "short", ((0.0, "red"), (1.0, "green")), width=24, height=8),
        Query(f"max by (instance, component) ({own('ganglion_component_healthy')})"),
    )
    return (
        _over_time(
            "Memory",
            "Resident memory of each process.",
            "bytes",
            [Query(own("otelcol_process_memory_rss"), "{{process}}")],
        ),
        _over_time(
            "CPU", "Cores used by each process.", "short", [Query(_rate("otelcol_process_cpu_seconds"), "{{process}}")]
        ),
        _over_time("Restarts", "In the interval between two points.", "short", [restarts], stacked=True),
        health,
    )
