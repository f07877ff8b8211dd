"""How the supervisor runs the query process: by the name of its module, which is of a layer above this one."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from ganglion_collector.config import CollectorConfig
from ganglion_collector.extensions.query import QueryConfig
from ganglion_collector.log import Encoding
from ganglion_collector.process import Program

__all__ = ["MODULE", "QuerySettings", "disabled_queries", "query_component", "query_programs"]

MODULE = "ganglion_query.api"
_NEEDED = ("fastapi", "psycopg", "psycopg_pool")


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """What the process needs to know; `extension` is its configuration, `status` the descriptor to report on."""

    name: str
    parent: int
    extension: Mapping[str, Any]
    dsn: str
    home: str
    status: int
    log_level: str
    log_encoding: Encoding

    def line(self) -> bytes:
        """Return the settings as the first line of its standard input."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> "QuerySettings":
        return cls(**json.loads(line))


def query_component(extension: str) -> str:
    """Return what health calls it."""
    return f"extension:{extension}"


def disabled_queries(config: CollectorConfig, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return which query extensions cannot run here, each with the reason."""
    missing = next((name for name in _NEEDED if find_spec(name) is None), None)
    found: dict[str, str] = {}
    for id_, query in _queries(config).items():
        if missing is not None:
            found[id_] = f"it needs the Python package {missing}; pip install 'ganglion[query]'"
        elif not _dsn(query, environ):
            found[id_] = "no database is given; set dsn or GANGLION_DATABASE_URL"
    return found


def query_programs(config: CollectorConfig, environ: Mapping[str, str], home: Path) -> list[Program]:
    """Return the program of each query extension that can run."""
    disabled = disabled_queries(config, environ)
    return [_program(config, environ, home, id_) for id_ in _queries(config) if id_ not in disabled]


def _program(config: CollectorConfig, environ: Mapping[str, str], home: Path, id_: str) -> Program:
    argv = [sys.executable, "-P", "-m", MODULE, id_]
    # Times come from the database as they are told.
    variables = {**environ, "PGTZ": "UTC"}

    def settings(status: int) -> bytes:
        logs = config.telemetry.logs
        return QuerySettings(
            name=id_,
            parent=os.getpid(),
            extension=config.raw["extensions"][id_] or {},
            dsn=_dsn(_queries(config)[id_], environ),
            home=str(home),
            status=status,
            log_level=logs.level,
            log_encoding=cast("Encoding", logs.encoding),
        ).line()

    return Program(id_, lambda: (argv, variables), (query_component(id_),), settings)


def _queries(config: CollectorConfig) -> Mapping[str, QueryConfig]:
    found = {id_: extension.config for id_, extension in config.extensions.items()}
    return {id_: query for id_, query in found.items() if isinstance(query, QueryConfig)}


def _dsn(query: QueryConfig, environ: Mapping[str, str]) -> str:
    return query.dsn.get_secret_value() or environ.get("GANGLION_DATABASE_URL", "")
