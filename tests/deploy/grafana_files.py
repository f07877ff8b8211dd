"""The shipped dashboards as Grafana reads them: panels, queries, and what Grafana puts in for its variables."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from tests.deploy.receivers import SHIPPED

__all__ = ["ALL", "GRAFANA", "Asked", "asked", "dashboards", "database", "panels", "promql", "sql", "variables"]

GRAFANA = SHIPPED / "grafana"
ALL = {"service": ".*", "environment": ".*", "layer": ".*", "model": ".*", "collector": ".*", "trace_id": ""}
"""The variables' values when nothing was chosen."""

_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")


@dataclass(frozen=True)
class Asked:
    """One query of one panel, as it is written."""

    dashboard: str
    panel: str
    ref: str
    text: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} {self.ref}"


@cache
def dashboards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((GRAFANA / "dashboards").glob("*.json"))]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return its panels but for the titles of its rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def variables(dashboard: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def asked(key: str) -> Iterator[Asked]:
    """Yield every query; `key` is where a data source has its text: `expr`, `rawSql` or `query`."""
    for dashboard in dashboards():
        targets = [(panel["title"], target) for panel in panels(dashboard) for target in panel["targets"]]
        notes = [(note["name"], note["target"]) for note in dashboard.get("annotations", {}).get("list", [])]
        for title, target in targets + notes:
            if key in target:
                yield Asked(dashboard["uid"], title, target["refId"], target[key])


def promql(text: str, values: Mapping[str, str] = ALL, *, window: str = "1m", span: str = "1h") -> str:
    """Return an expression as Grafana sends it: several values chosen come as `(one|other)`."""
    known = {**values, "__rate_interval": window, "__range": span}
    return re.sub(r"\$(\w+)", lambda found: known[found[1]], text)


def sql(text: str, values: Mapping[str, str] = ALL, *, end: datetime | None = None) -> str:
    """Return a statement as Grafana sends it, for the hour before `end`, or now."""
    until = (end or datetime.now(UTC)) + timedelta(minutes=1)
    since = until - timedelta(hours=1)
    between = rf"\1 BETWEEN '{since.isoformat()}' AND '{until.isoformat()}'"
    text = re.sub(r"\$__timeFilter\((\w+)\)", between, text)
    text = re.sub(r"\$__timeGroup\((\w+), \$__interval\)", r"floor(extract(epoch from \1)/60)*60", text)
    text = re.sub(r"\$\{(\w+):(\w+)\}", lambda found: _formatted(values[found[1]], found[2]), text)
    if macro := re.search(r"\$[_a-zA-Z0-9]+\(", text):
        raise ValueError(f"Grafana would take {macro[0]} for a macro")
    return text


def _formatted(value: str, how: str) -> str:
    match how:
        case "regex":
            return value if value == ".*" else _SPECIAL.sub(r"\\\g<0>", value)
        case "sqlstring":
            return "'{}'".format(value.replace("'", "''"))
        case _:
            raise ValueError(how)


@contextmanager
def database(server: str) -> Iterator[str]:
    """Make an empty database of a server, for several tests; drop it at the end."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
