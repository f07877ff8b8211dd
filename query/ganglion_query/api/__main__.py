"""The query process: started by the supervisor, or by hand over GANGLION_DATABASE_URL.

python -m ganglion_query.api --endpoint localhost:8484
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import uvloop
from ganglion_collector import log
from ganglion_collector.embedded import database_url
from ganglion_collector.endpoint import Endpoint, listening_sockets, parse_endpoint
from ganglion_collector.errors import CollectorError
from ganglion_collector.extensions.query import QueryConfig, is_loopback
from ganglion_collector.home import Home
from ganglion_collector.parent import Channel, Report
from ganglion_collector.query_program import QuerySettings, query_component
from ganglion_collector.tls import server_context

from ganglion_query.api.app import AppSettings, make_app
from ganglion_query.api.server import serve
from ganglion_query.api.stream import TailRoom
from ganglion_query.api.tokens import callers_of
from ganglion_query.langsmith import LangSmith
from ganglion_query.reader import Reader, open_pool

__all__ = ["main"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Wanted:
    config: QueryConfig
    dsn: str
    home: Home


def main() -> None:
    """Serve until SIGTERM, or the end of the supervisor."""
    parser = argparse.ArgumentParser(prog="ganglion_query.api", description=__doc__)
    parser.add_argument("name", nargs="?", help="what the supervisor calls it")
    parser.add_argument("--endpoint", help="where to listen; without, settings come from the supervisor")
    options = parser.parse_args()
    if options.endpoint:
        _by_hand(options.endpoint)
    else:
        _supervised()


def _by_hand(endpoint: str) -> None:
    log.configure("info", "console", "query")
    os.environ["PGTZ"] = "UTC"
    try:
        wanted = _Wanted(QueryConfig(endpoint=endpoint), database_url(os.environ), Home.of(os.environ))
        uvloop.run(_run(wanted, None, "query"))
    except (CollectorError, OSError, ValueError) as error:
        sys.exit(f"ganglion: {error}")


def _supervised() -> None:
    channel = Channel()
    settings = QuerySettings.of(channel.first_line())
    channel.end_with(settings.parent)
    log.configure(settings.log_level, settings.log_encoding, settings.name)
    report = Report(settings.status)
    try:
        config = QueryConfig.model_validate(settings.extension)
        wanted = _Wanted(config, settings.dsn, Home(Path(settings.home)))
        uvloop.run(_run(wanted, report, settings.name))
    except (CollectorError, OSError, ValueError) as error:
        report.failed(error.strerror or str(error) if isinstance(error, OSError) else str(error))
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 (said, and the process ends)
        _logger.error("failed unexpectedly", extra={"stack": log.stack(error)})
        report.failed(f"unexpected {type(error).__qualname__}")
        sys.exit(1)


async def _run(wanted: _Wanted, report: Report | None, name: str) -> None:
    config, tails, stopping = wanted.config, TailRoom(), asyncio.Event()
    endpoint = parse_endpoint(config.endpoint)
    sockets = listening_sockets(endpoint)
    _on_stop(stopping, tails)
    tls = None if config.tls is None else server_context(config.tls)
    with closing(open_pool(wanted.dsn, config.connections)) as pool:
        reader = Reader(wanted.dsn, config.timeout, LangSmith.of(os.environ), pool=pool)
        app = make_app(AppSettings(reader, callers_of(config), wanted.home), tails)
        _tell(config, report, name, Endpoint(endpoint.host, _port(sockets)))
        await serve(app, sockets, stopping, tls)


def _on_stop(stopping: asyncio.Event, tails: TailRoom) -> None:
    def stop() -> None:
        tails.closing.set()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _tell(config: QueryConfig, report: Report | None, name: str, address: Endpoint) -> None:
    if config.has_tokens and config.tls is None and not is_loopback(config.endpoint):
        _logger.warning("tokens come in plain text; set tls, or let a proxy that has it stand before")
    gc.collect()
    gc.freeze()
    if report is None:
        _logger.info("serving", extra={"address": str(address)})
        return
    report.address(name, str(address))
    report.health([query_component(name)], "")
    report.send(event="ready")


def _port(sockets: list[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])


if __name__ == "__main__":
    main()
