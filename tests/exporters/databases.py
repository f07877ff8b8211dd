from collections.abc import Callable
from typing import Any

import psycopg
from ganglion_exporters.postgresql import PostgreSQLExporter

Open = Callable[..., PostgreSQLExporter]


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()
