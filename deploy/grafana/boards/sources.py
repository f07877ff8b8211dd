"""The data sources, by the uids that `provisioning/datasources/ganglion.yml` gives them, and our own page."""

from grafana_foundation_sdk.models.dashboard import DataSourceRef

__all__ = ["PAGE", "POSTGRESQL", "PROMETHEUS", "TRACES"]

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="ganglion-prometheus")
POSTGRESQL = DataSourceRef(type_val="grafana-postgresql-datasource", uid="ganglion-postgresql")
TRACES = DataSourceRef(type_val="jaeger", uid="ganglion-traces")

PAGE = "http://localhost:8484"
"""Where a person's browser finds Ganglion's page: dashboards know no variables of Grafana's environment."""
