"""Expressions in PromQL over what is chosen above a dashboard: service, environment, layer, model.

`$service` and its like are Grafana's: a regular expression of the values chosen, `.*` for all.
"""

__all__ = [
    "INTERVAL",
    "RANGE",
    "current",
    "increase",
    "mean",
    "own",
    "own_increase",
    "quantile",
    "quantile_of",
    "rate",
    "ratio",
    "total",
]

INTERVAL = "$__rate_interval"
RANGE = "$__range"

# A service's job is its name, after its namespace where it has one. A set operation, not a join, so that several
# target_info of one instance (a restart with another resource) are no error.
_SERVICE = 'job=~"(.*/)?($service)"'
_COLLECTOR = 'instance=~"$collector"'
_IN_ENVIRONMENT = 'and on (job, instance) target_info{deployment_environment_name=~"$environment"}'


def current(metric: str, *matchers: str) -> str:
    """Return the values of a service's gauge."""
    return f"({_selector(metric, matchers)} {_IN_ENVIRONMENT})"


def own(metric: str, *matchers: str) -> str:
    """Return the selector of one of Ganglion's own metrics, with `_total` at its end or without."""
    matchers = (f'__name__=~"{metric}(_total)?"', _COLLECTOR, *matchers)
    return f"{{{', '.join(matchers)}}}"


def increase(metric: str, *matchers: str, window: str = INTERVAL) -> str:
    """Return by how much each counter grew within `window`.

    A counter begins to exist with its first event, of which PromQL's own increase() sees nothing: a new series counts
    with its whole value, if the exporter was scraped a window ago. So do the rules in deploy/prometheus.
    """
    return f"({_grown(_selector(metric, matchers), 'ganglion_exporter', window)} {_IN_ENVIRONMENT})"


def own_increase(metric: str, *matchers: str, window: str = INTERVAL) -> str:
    """Return by how much each of Ganglion's own counters grew within `window`, a new one by its whole value."""
    return _grown(own(metric, *matchers), "ganglion", window)


def rate(metric: str, *matchers: str) -> str:
    """Return by how much each counter grows in a second."""
    return f"(rate({_selector(metric, matchers)}[{INTERVAL}]) {_IN_ENVIRONMENT})"


def total(by: str, series: str) -> str:
    """Return the sum of `series`, for each value of the labels `by`, or over all where `by` is empty."""
    return f"sum by ({by}) ({series})" if by else f"sum({series})"


def ratio(part: str, whole: str) -> str:
    """Return the share of `part` in `whole`; 0 where `part` has no series, nothing where `whole` is 0."""
    return f"({part} or {whole} * 0) / ({whole} > 0)"


def quantile(q: float, by: str, metric: str, *matchers: str, window: str = INTERVAL) -> str:
    """Return a quantile of a service's histogram; `metric` is its name without `_bucket`."""
    return quantile_of(q, by, increase(f"{metric}_bucket", *matchers, window=window))


def quantile_of(q: float, by: str, buckets: str) -> str:
    """Return a quantile of `buckets`, increases or rates of a histogram's."""
    return f"histogram_quantile({q}, {total(f'{by}, le' if by else 'le', buckets)})"


def mean(by: str, metric: str, *matchers: str, window: str = INTERVAL) -> str:
    """Return the mean of a service's histogram."""
    sums, counts = (total(by, increase(f"{metric}_{part}", *matchers, window=window)) for part in ("sum", "count"))
    return f"{sums} / ({counts} > 0)"


def _grown(series: str, job: str, window: str) -> str:
    scraped = f'up{{job="{job}"}} offset {window} == 1'
    return f"(({series} unless {series} offset {window} and on () {scraped}) or increase({series}[{window}]))"


def _selector(metric: str, matchers: tuple[str, ...]) -> str:
    return f"{metric}{{{', '.join((_SERVICE, *matchers))}}}"
