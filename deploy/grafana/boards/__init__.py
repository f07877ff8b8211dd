"""Grafana's dashboards for Ganglion, as typed code; `python -m deploy.grafana.boards` writes them as JSON."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards import answers, collector, cost, ingestion, overview, quality, trace

__all__ = ["dashboards"]


def dashboards() -> list[Dashboard]:
    """Return every dashboard; each stands in a file named by its uid."""
    boards = (overview, ingestion, answers, quality, cost, trace, collector)
    return [board.dashboard() for board in boards]
