"""The data sources, by the uids that `provisioning/datasources/ganglion.yml` gives them."""

from grafana_foundation_sdk.models.dashboard import DataSourceRef

__all__ = ["POSTGRESQL", "PROMETHEUS", "TRACES"]

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="ganglion-prometheus")
POSTGRESQL = DataSourceRef(type_val="grafana-postgresql-datasource", uid="ganglion-postgresql")
TRACES = DataSourceRef(type_val="jaeger", uid="ganglion-traces")
