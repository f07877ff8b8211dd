"""The demonstration of `rag_service/`: real files, 100 uploads at once, conversations, and all that can go wrong.

The files are this project's own documents. Two tenants and five users take part.
"""

import asyncio
import csv
import html
import io
import itertools
import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from examples.running import (
    BIN,
    PATIENCE,
    DemoError,
    Program,
    Protocol,
    RunningService,
    collector_addresses,
    exporter_variables,
    running_service,
    wait_for_logs,
    wait_for_trace,
)

__all__ = ["AT_ONCE", "PROGRAM", "Outcome", "logs_of", "main", "otel_variables", "send_requests"]

ROOT = Path(__file__).parents[1]
PROGRAM = Program("rag_service.app:app", ROOT / "examples")
AT_ONCE = 100
_TENANTS = {"ada": "acme", "grace": "acme", "edsger": "acme", "barbara": "globex", "alan": "globex"}
_CONVERSATIONS = {
    "ada": [
        "What happens when the journal is full?",
        "And on a disk without space?",
        "How do I replay dead letters?",
        "Which signals can be sent over gRPC and over HTTP?",
        "How long is a retryable error retried?",
        "What is acknowledged, and when?",
    ],
    "grace": ["How do I find the errors of one user?", "How do I find the errors of one user?", "In which order?"],
    "barbara": ["Which port does the health check use?", "And the metrics?", "What does a unicorn eat for breakfast?"],
}
_FAULTS = {
    "slow": "Which errors are retried, and for how long?",
    "fail": "What does the supervisor do when a worker ends?",
    "budget": "How large may a request be?",
    "rate_limit": "Where are the positions of the readers kept?",
    "hallucinate": "How do I replay dead letters?",
}


@dataclass
class Outcome:
    """What came back: how many answers of each status by kind of request, and each request's trace."""

    statuses: dict[str, Counter[int]] = field(default_factory=dict[str, Counter[int]])
    traces: dict[str, str] = field(default_factory=dict[str, str])
    """The last trace of each fault, by its name."""
    tiers: Counter[str] = field(default_factory=Counter[str])
    users: dict[str, str] = field(default_factory=dict[str, str])
    """Who sent the request of a trace."""

    def count(self, kind: str, response: httpx.Response) -> None:
        self.statuses.setdefault(kind, Counter())[response.status_code] += 1
        self.users[response.headers["X-Trace-ID"]] = response.request.headers["X-User-ID"]

    def lines(self) -> Iterator[str]:
        for kind, counted in self.statuses.items():
            yield f"  {kind:26} " + ", ".join(f"{number} x {status}" for status, number in sorted(counted.items()))
        yield f"  {'quality of the answers':26} " + ", ".join(f"{n} x {tier}" for tier, n in self.tiers.most_common())


def otel_variables(addresses: Mapping[str, str], protocol: Protocol) -> dict[str, str]:
    """Return all that the service is told about its telemetry."""
    return {
        "OTEL_SERVICE_NAME": "rag-service",
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0.0,deployment.environment.name=demo",
        **exporter_variables(addresses, protocol),
        "OTEL_PYTHON_DISTRO": "ganglion",
    }


def _headers(user: str, **more: str) -> dict[str, str]:
    return {"X-User-ID": user, "X-Tenant-ID": _TENANTS[user], **more}


def _documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _pieces() -> Iterator[tuple[str, bytes]]:
    """Yield files in every format the service reads, each a section of the project's documents, again and again."""
    sections = [
        (heading.strip("# "), body.strip())
        for path in _documents()
        for heading, body in re.findall(r"^(##+ .+)$([^#]+)", path.read_text(), re.MULTILINE)
        if body.strip()
    ]
    for number, (heading, body) in enumerate(itertools.cycle(sections)):
        table = io.StringIO()
        csv.writer(table).writerows([["title", "text"], [heading, body]])
        formats = (
            ("md", f"# {heading}\n\n{body}"),
            ("txt", f"{heading}.\n\n{body}"),
            ("json", json.dumps({"title": heading, "text": body})),
            ("csv", table.getvalue()),
            ("html", f"<title>{html.escape(heading)}</title><p>{html.escape(body)}</p>"),
        )
        ending, text = formats[number % len(formats)]
        yield f"section-{number}.{ending}", text.encode()


async def send_requests(url: str) -> Outcome:
    """Use the service as people do, and as nobody should."""
    outcome = Outcome()
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits) as client:
        for user, path in itertools.product(("ada", "barbara"), _documents()):
            await _upload(client, outcome, "documents uploaded", user, (path.name, path.read_bytes()))
        users = itertools.cycle(_TENANTS)
        files = itertools.islice(_pieces(), AT_ONCE)
        together = [_upload(client, outcome, f"{AT_ONCE} uploads at once", next(users), file) for file in files]
        await asyncio.gather(*together)
        for file in (("broken.json", b'{"title": '), ("picture.png", b"\x89PNG"), ("latin.txt", b"caf\xe9")):
            await _upload(client, outcome, "unreadable files", "alan", file)
        await asyncio.gather(*(_converse(client, outcome, user) for user in _CONVERSATIONS))
        for fault, question in _FAULTS.items():
            await _ask(client, outcome, "grace", question, fault)
        await _ask_streaming(client, outcome, "edsger", "What does the journal keep?")
    return outcome


async def _upload(client: httpx.AsyncClient, outcome: Outcome, kind: str, user: str, file: tuple[str, bytes]) -> None:
    outcome.count(kind, await client.post("/documents", files={"file": file}, headers=_headers(user)))


async def _converse(client: httpx.AsyncClient, outcome: Outcome, user: str) -> None:
    for question in _CONVERSATIONS[user]:
        await _ask(client, outcome, user, question)


async def _ask(client: httpx.AsyncClient, outcome: Outcome, user: str, question: str, fault: str = "none") -> None:
    headers = _headers(user, **{"X-Session-ID": f"{user}-1", "X-Demo-Fault": fault})
    response = await client.post("/ask", json={"question": question}, headers=headers)
    outcome.count("questions" if fault == "none" else f"questions, {fault}", response)
    found = response.json()
    outcome.traces[fault] = found["trace_id"]
    if response.is_success:
        outcome.tiers[found["tier"]] += 1


async def _ask_streaming(client: httpx.AsyncClient, outcome: Outcome, user: str, question: str) -> None:
    async with client.stream("POST", "/ask/stream", json={"question": question}, headers=_headers(user)) as response:
        async for _line in response.aiter_lines():
            pass
    outcome.count("questions, streaming", response)


def logs_of(service: RunningService) -> list[dict[str, Any]]:
    """Return the logs that the service printed."""
    return [json.loads(line) for line in service.lines if line.startswith("{")]


def main() -> None:
    variables = otel_variables(collector_addresses(), "grpc")
    print("A RAG service starts, told by OTEL_* variables alone where its telemetry goes:")
    for name, value in variables.items():
        print(f"  {name}={value}")
    with running_service(PROGRAM, variables) as service:
        started = time.perf_counter()
        outcome = asyncio.run(send_requests(service.url))
        took = time.perf_counter() - started
    print(f"\nRequests to it, {took:.1f} s:")
    print("\n".join(outcome.lines()))
    _show(outcome, logs_of(service))


def _show(outcome: Outcome, logs: list[dict[str, Any]]) -> None:
    slow = outcome.traces["slow"]
    wanted = sum(log.get("trace_id") == slow for log in logs)
    if not wanted:
        raise DemoError(f"the service printed no log of the trace {slow}")
    wait_for_trace(slow, spans=8, logs=wanted)
    stored = wait_for_logs("rag-service", min(log["timestamp"] for log in logs), len(logs))
    print(f"\nIt printed {len(logs)} logs; in PostgreSQL are {stored}.")
    print("Why did one question take so long?\n", flush=True)
    subprocess.run([BIN / "ganglion", "trace", slow], check=True)
    print(f"\ntrace id: {slow}")
    print("\nMore to ask:")
    for command, why in suggestions(outcome):
        print(f"  .venv/bin/ganglion {command:60}{'# ' + why if why else ''}".rstrip())


def suggestions(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield what can be asked now, and why one would."""
    yield f"explain {outcome.traces['slow']}", "the same, in a sentence"
    yield f"explain {outcome.traces['fail']}", "a question that failed"
    yield f"trace {outcome.traces['hallucinate']}", "an answer that no document bears out"
    yield "errors --user grace --since 1h", "what went wrong for her"
    yield "errors --why --since 1h", "what went wrong, by cause"
    yield "cost --by user --since 1h", ""
    yield "logs --service rag-service --level warning --since 1h", ""
    yield "logs --search 'tokens minute' --since 1h", "who was refused, by words of the error"
    yield "logs --where query~unicorn --since 1h", "what became of one question"
