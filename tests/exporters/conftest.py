from collections.abc import AsyncIterator
from typing import Any

import pytest
from ganglion_exporters.postgresql import PostgreSQLConfig, PostgreSQLExporter

from tests.exporters.databases import Open


@pytest.fixture
async def exporter_on() -> AsyncIterator[Open]:
    exporters: list[PostgreSQLExporter] = []

    def open_exporter(dsn: str, **settings: Any) -> PostgreSQLExporter:
        exporters.append(PostgreSQLExporter(PostgreSQLConfig.model_validate({"dsn": dsn, **settings})))
        return exporters[-1]

    yield open_exporter
    for exporter in exporters:
        await exporter.shutdown()
