"""`ganglion up`: everything in the background, until it is healthy and a self-test has come back."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from ganglion_collector.background import Started, log_tail, read_status, start, stop_started
from ganglion_collector.config import CollectorConfig
from ganglion_collector.embedded import database_url
from ganglion_collector.errors import StartError
from ganglion_collector.home import Home, keep_private
from ganglion_collector.loading import default_config, load_config
from ganglion_collector.pipeline import disabled_exporters
from ganglion_collector.terminal import console
from rich.console import Console
from rich.text import Text

from ganglion_query.model import Trace
from ganglion_query.render import print_trace
from ganglion_query.selftest import SelfTestError, SelfTestImpossible, read_back, send

__all__ = ["bring_up"]

_PATIENCE = 120.0
_WIDTH = 17
# What moves an address, by the port it has where nothing is set.
_PORT_SETTINGS = {
    "4317": "GANGLION_OTLP_GRPC_ENDPOINT",
    "4318": "GANGLION_OTLP_HTTP_ENDPOINT",
    "8484": "GANGLION_QUERY_ENDPOINT",
    "8888": "GANGLION_METRICS_PORT",
    "8889": "GANGLION_PROMETHEUS_EXPORTER_ENDPOINT",
    "13133": "GANGLION_HEALTH_ENDPOINT",
}


def bring_up(config: list[str], sets: list[str], *, monitoring: bool = True) -> None:
    """Start the collector, and PostgreSQL unless one is given; return when a self-test came through.

    With `monitoring` Prometheus and Alertmanager too, where they are installed.

    Raises:
        StartError: it could not be; nothing that this started runs any more.
        InvalidConfigError: so is the configuration; nothing was started.
    """
    home = Home.of(os.environ)
    home.make()
    keep_private()
    if home.is_running():
        _tell_running(home)
        return
    uris = config or [default_config()]
    loaded = load_config(uris, sets)
    screen = console()
    wanted = ["--embedded", *(["--monitoring"] if monitoring else [])]
    started = start(home, [*wanted, *(f"--config={uri}" for uri in uris), *(f"--set={one}" for one in sets)])
    try:
        addresses = _follow(screen, started)
        for name, reason in disabled_exporters(loaded).items():
            screen.print(Text(f"  without {name}: {reason}"), soft_wrap=True)
        trace = _self_test(screen, loaded, addresses)
    except BaseException as error:
        stop_started(started)
        if isinstance(error, StartError):
            _tell_log(home)
        raise
    _tell_success(screen, home, addresses, trace)


def _follow(screen: Console, started: Started) -> Mapping[str, str]:
    """Show each step; return the addresses when all is healthy."""
    waiting = ""
    with screen.status("Starting") as shown:
        for event in started.events(_PATIENCE):
            match event["event"]:
                case "starting":
                    shown.update(Text(f"Starting {event['name']}"))
                case "ready":
                    screen.print(Text(f"  {event['name']}: ready"))
                case "without":
                    screen.print(Text(f"  without {event['name']}: {event['reason']}"), soft_wrap=True)
                case "waiting":
                    waiting = event["reason"]
                    shown.update(Text(f"Waiting: {waiting}"))
                case "healthy":
                    return dict(event["addresses"])
                case _:
                    raise StartError(_with_hint(event["reason"]))
    raise StartError(f"not healthy after {_PATIENCE:.0f} s{': ' + waiting if waiting else ''}")


def _with_hint(reason: str) -> str:
    """Name the setting that moves an address that is taken."""
    reason = re.sub(r"^\[Errno \d+\] ", "", reason)
    port = re.search(r"cannot listen on \S+?:(\d+)\b", reason)
    if port is None:
        return reason
    names = {os.environ.get(name, default).rpartition(":")[2]: name for default, name in _PORT_SETTINGS.items()}
    setting = names.get(port[1])
    return f"{reason}; stop what has it, or set {setting}" if setting else reason


def _self_test(screen: Console, loaded: CollectorConfig, addresses: Mapping[str, str]) -> Trace | None:
    """Send a trace and read it back; None where this configuration does not let us."""
    from ganglion_query.reader import Reader, ReaderError  # noqa: PLC0415 (a collector may have no PostgreSQL)

    endpoint = next((address for name, address in addresses.items() if name.endswith("/http")), None)
    stored = {str(way.signal) for way in loaded.pipelines.values() if "postgresql" in "".join(way.exporters)}
    if endpoint is None or not stored >= {"traces", "logs"}:
        screen.print(Text("  no self-test: it takes OTLP/HTTP, and PostgreSQL for traces and logs"))
        return None
    try:
        with screen.status("Sending a self-test through everything"):
            return read_back(Reader(database_url(os.environ)), send(endpoint))
    except SelfTestImpossible as error:
        screen.print(Text(f"  no self-test: {error}"))
        return None
    except (SelfTestError, ReaderError) as error:
        raise StartError(str(error)) from None


def _tell_running(home: Home) -> None:
    status = read_status(home)
    typer.echo(f"Already running in {home.path}: {'healthy' if status['healthy'] else status['reason']}")
    for name, address in status["addresses"].items():
        typer.echo(f"  {name:<{_WIDTH}} {address}")


def _tell_log(home: Home) -> None:
    for line in log_tail(home):
        typer.echo(f"  {line}", err=True)
    typer.echo(f"  (from {home.log})", err=True)


def _tell_success(screen: Console, home: Home, addresses: Mapping[str, Any], trace: Trace | None) -> None:
    if trace is not None:
        screen.print(Text("\nHealthy. This self-test went in by OTLP and was read back from PostgreSQL:\n", "green"))
        print_trace(screen, trace)
    lines = ["", *(f"{name:<{_WIDTH}} {address}" for name, address in addresses.items())]
    lines += [f"{'home':<{_WIDTH}} {home.path}", "", *_alerts(addresses)]
    grpc = next((address for name, address in addresses.items() if name.endswith("/grpc")), None)
    if grpc is not None:
        lines.append(f"Point a service here:  export OTEL_EXPORTER_OTLP_ENDPOINT=http://{grpc}")
    lines.append(f"Read a request:        ganglion trace {trace.trace_id if trace else 'ID'}")
    if "query" in addresses:
        lines.append(f"The page:              http://{addresses['query']}")
    if "prometheus-server" in addresses:
        lines.append(f"Metrics and alerts:    http://{addresses['prometheus-server']}")
    lines.append("Stop everything:       ganglion down")
    typer.echo("\n".join(lines))
    sys.stdout.flush()


def _alerts(addresses: Mapping[str, str]) -> Iterator[str]:
    if "alertmanager" in addresses and not os.environ.get("GANGLION_ALERTMANAGER_CONFIG"):
        yield f"Alerts are on http://{addresses['alertmanager']} alone and sent to nobody: set up Slack and e-mail in a"
        yield "copy of deploy/alertmanager/, and name it in GANGLION_ALERTMANAGER_CONFIG (docs/alerts.md)."
        yield ""
