"""What a component is: the contract between the collector and its receivers, processors, connectors, exporters.

    journal ──▶ Batch ──▶ Transform.process ──▶ Exporter.export ──▶ destination
                  │                                │ RetryableError: the same batch again, later
                  │                                │ PermanentError: split until the bad item stands alone
                  └─ end ──────────────────────────┴▶ position committed
    journal ──▶ Batch ──▶ Connector.consume … flush ──▶ derived stream ──▶ Batch ──▶ …

What a component remembers between batches (`Stateful`) is saved together with the position that it stands for.

A component lives in one module whose name is its type and which holds `factory`. Nothing is imported that the
configuration does not name.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ganglion_collector.errors import PartialSuccess
from ganglion_collector.otlp import Request, Signal, parse_request, slice_items

__all__ = [
    "Acceptor",
    "Admission",
    "Authenticator",
    "Batch",
    "BatchBounds",
    "BatchConfig",
    "Buries",
    "Bury",
    "Config",
    "Connector",
    "ConnectorFactory",
    "Derived",
    "Duration",
    "Exporter",
    "ExporterConfig",
    "ExporterFactory",
    "ExtensionFactory",
    "KeepsFiles",
    "KeepsPosition",
    "Listens",
    "Position",
    "ProcessorFactory",
    "Receiver",
    "ReceiverFactory",
    "ReceiverSettings",
    "Record",
    "Reports",
    "RetryConfig",
    "SendingQueueConfig",
    "Signal",
    "Source",
    "Stateful",
    "Transform",
    "parse_duration",
]

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 2**63 / 1e9


def parse_duration(value: Any) -> float:
    """Read a Go duration (`300ms`, `1.5h`, `2h45m`, `-1s`, `0`) as seconds.

    Raises:
        ValueError: it is not one (a bare number other than 0 has no unit), or longer than Go's 292 years.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
        return 0.0
    text = value if isinstance(value, str) else ""
    sign = -1.0 if text.startswith("-") else 1.0
    body = text[1:] if text.startswith(("+", "-")) else text
    parts = _DURATION.findall(body)
    if body == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise ValueError("is not a duration; write a number and a unit, such as 300ms, 5s or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise ValueError("is longer than 292 years; write 0 where 0 means no limit")
    return sign * seconds


Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=Annotated[str, Field(examples=["5s"])] | Literal[0]),
]
"""Seconds, written as a Go duration."""


class Config(BaseModel):
    """What a user writes for one component. An unknown key is an error; each field's docstring is its documentation.

    Defaults must be given as what a user would write (`timeout: Duration = 5.0` is seconds, as code sees it).
    A validator's ValueError reads "reason; hint" and does not repeat the value, which may be a secret.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    without_effect: ClassVar[Mapping[str, str]] = {}
    """Keys that the Collector has and that mean nothing here, each with the reason: taken with a warning."""


class RetryConfig(Config):
    """Back-off between attempts at the same batch; keys and defaults of the Collector but for `max_elapsed_time`."""

    enabled: bool = True
    """Try again after a retryable error; otherwise the batch goes to the dead letters at once."""
    initial_interval: Duration = Field(default=5.0, gt=0)
    """Wait before the second attempt."""
    randomization_factor: float = Field(default=0.5, ge=0, le=1)
    """Each wait is spread evenly over ± this share of it."""
    multiplier: float = Field(default=1.5, ge=1)
    """Each wait is this times the one before."""
    max_interval: Duration = Field(default=30.0, gt=0)
    """The longest wait."""
    max_elapsed_time: Duration = Field(default=0.0, ge=0)
    """Give up after this long and move the batch to the dead letters; 0 never gives up."""


_JOURNAL_IS_THE_QUEUE = "the journal is the queue; its size is the `journal` extension's `quota_mib`"
_DEFAULT_BATCH = 16_384


class BatchConfig(Config):
    """How much of what is waiting goes into one batch."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "sizer": "a batch is bounded by items and by bytes (`max_size_bytes`) at once",
        "partition": "a batch is never partitioned",
    }

    flush_timeout: Duration = Field(default=0.0, ge=0)
    """How long to wait for `min_size` items; 0 sends what is there."""
    min_size: int = Field(default=0, ge=0)
    """Items worth waiting for."""
    max_size: Annotated[int, AfterValidator(lambda size: size or _DEFAULT_BATCH)] = Field(default=_DEFAULT_BATCH, ge=0)
    """Most items in a batch; a larger request is split. 0, the Collector's default, means the default here."""
    max_size_bytes: int = Field(default=8 * 1024 * 1024, ge=1)
    """Most bytes in a batch; a single larger item goes alone."""


class SendingQueueConfig(Config):
    """The Collector's `sending_queue`; the journal is the queue, so only the batch can be set."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "enabled": "the journal is the queue and always there",
        "queue_size": _JOURNAL_IS_THE_QUEUE,
        "sizer": _JOURNAL_IS_THE_QUEUE,
        "num_consumers": "each exporter of a pipeline has one process of its own, which keeps the order",
        "wait_for_result": "a request is acknowledged when the journal holds it",
        "block_on_overflow": "a full journal refuses with a delay after which the sender tries again",
        "storage": "the journal is on disk always",
    }

    batch: BatchConfig = BatchConfig()
    """How batches are cut from the journal."""


class ExporterConfig(Config):
    """The keys that every exporter has."""

    timeout: Duration = Field(default=5.0, ge=0)
    """Longest time for one attempt; 0 is no limit."""
    retry_on_failure: RetryConfig = RetryConfig()
    """What happens after a retryable error."""
    sending_queue: SendingQueueConfig = SendingQueueConfig()
    """How batches are cut from the journal."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a journal: every item before item `item` of record `sequence` is done."""

    sequence: int = 0
    item: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Whose position a batch moves: one reader of one journal. A new journal never inherits an old position."""

    journal: UUID
    reader: str


@dataclass(frozen=True, slots=True)
class Record:
    """One acknowledged request as the journal keeps it.

    `payload` is an `Export<Signal>ServiceRequest`; `received_at` Unix nanoseconds; `context` what authentication
    found out (small strings); `receiver` the component id that took it in; `item_count` its items from `first_item` on
    (a record that was split begins later than 0).
    """

    sequence: int
    signal: Signal
    receiver: str
    received_at: int
    item_count: int
    payload: bytes
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    first_item: int = 0

    def slice(self, start: int, stop: int) -> "Record":
        """Return items `start` to `stop` (exclusive, counted within this record) as a record of its own."""
        payload = slice_items(self.signal, self.payload, start, stop)
        return replace(self, payload=payload, item_count=stop - start, first_item=self.first_item + start)

    @property
    def start(self) -> Position:
        return Position(self.sequence, self.first_item)


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one signal on their way to an exporter.

    Exporting it moves `source` from `start` to `end`. Between the two may lie records of other signals.
    """

    signal: Signal
    records: tuple[Record, ...]
    source: Source
    start: Position
    end: Position

    @property
    def item_count(self) -> int:
        return sum(record.item_count for record in self.records)

    @property
    def size_bytes(self) -> int:
        return sum(len(record.payload) for record in self.records)

    def requests(self) -> Sequence[Request]:
        """Parse every record's payload, in order."""
        return [parse_request(self.signal, record.payload) for record in self.records]

    def split(self) -> tuple["Batch", "Batch"]:
        """Return two halves, in order; together they move the position as the whole does.

        Raises:
            ValueError: the batch holds a single item.
        """
        left, right = self._halves()
        border = next(iter(right)).start
        return (
            replace(self, records=left, end=border),
            replace(self, records=right, start=border),
        )

    def _halves(self) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
        if len(self.records) > 1:
            middle = len(self.records) // 2
            return self.records[:middle], self.records[middle:]
        record = next(iter(self.records))
        if record.item_count < 2:
            raise ValueError("a batch of one item cannot be split")
        half = record.item_count // 2
        return (record.slice(0, half),), (record.slice(half, record.item_count),)


class Exporter(Protocol):
    """Sends batches to one destination, one at a time, from a process of its own."""

    async def start(self) -> None:
        """Prepare; must not need the destination to be up. Called once, before anything else."""
        ...

    async def export(self, batch: Batch) -> PartialSuccess | None:
        """Deliver `batch`; return when the destination has it, or what it rejected.

        Raises:
            RetryableError: it may be taken later; the same batch comes again.
            PermanentError: it will never be taken; smaller parts of it will be tried.
        """
        ...

    async def shutdown(self) -> None:
        """Release everything. Safe twice, and without start."""
        ...


@runtime_checkable
class KeepsPosition(Protocol):
    """An exporter whose destination keeps the position, moved in the transaction that stores the items."""

    async def position(self, source: Source) -> Position | None:
        """Return where `source` stands, None if it never exported.

        Raises RetryableError while the destination cannot be asked.
        """
        ...


@runtime_checkable
class Stateful(Protocol):
    """A component whose results depend on what it saw before.

    The worker saves its state together with the positions that it stands for, as one, and after any end of the process
    gives it back and reads on from these positions: each item has its effect on the state exactly once. So a batch is
    taken in whole or, when an error is raised, not at all; and the same batches on the same state make the same state.
    """

    def state(self) -> bytes:
        """Return everything that is needed to go on from here."""
        ...

    def restore(self, state: bytes) -> None:
        """Go on from `state`; called before `start` and before the first batch.

        Raises:
            ValueError: these bytes are no state of this component, which then begins anew.
        """
        ...


@runtime_checkable
class KeepsFiles(Protocol):
    """A component with files of its own, which outlive its process: nobody else has them open or touches them."""

    def keep_in(self, folder: Path) -> None:
        """Keep them in `folder`, which exists and only this user can read; called before `start`."""
        ...


Bury = Callable[[Record, str], Awaitable[None]]
"""`await bury(record, reason)`: returns when the dead letters have the record's items; raises RetryableError."""


@runtime_checkable
class Buries(Protocol):
    """An exporter that finds out after `export` has returned that its destination will never take an item."""

    def bury_with(self, bury: Bury) -> None:
        """Set such items aside with `bury`; the same bytes twice are one letter. Called before `start`."""
        ...


@runtime_checkable
class Reports(Protocol):
    """An exporter that learns by itself, not in `export`, whether it is well."""

    def report_to(self, report: Callable[[str], None]) -> None:
        """Tell `report` what is wrong, "" when nothing is any more. Called before `start`."""
        ...


@runtime_checkable
class Listens(Protocol):
    """A component that others connect to."""

    @property
    def address(self) -> str:
        """`host:port` as really listened on, known once it is started."""
        ...


@runtime_checkable
class Transform(Protocol):
    """Changes what goes through a pipeline; one instance serves one pipeline of one exporter or connector."""

    def process(self, batch: Batch) -> Batch:
        """Return `batch` with other records or fewer; its source, start and end stay.

        What it leaves out it counts with the reason. Raises nothing: what it cannot read it passes on.
        """
        ...


@dataclass(frozen=True, slots=True)
class Derived:
    """What a connector made: an `Export<Signal>ServiceRequest` of `item_count` items."""

    signal: Signal
    item_count: int
    payload: bytes


class Connector(Stateful, Protocol):
    """Ends some pipelines and begins others: makes new data of what it is given.

    What `flush` returns, the state after it and the positions are saved in one transaction: whatever happens, each item
    taken in has its effect on what comes out exactly once.
    """

    @property
    def flush_interval(self) -> float:
        """Seconds between two calls of `flush`; they go on while nothing comes in."""
        ...

    def consume(self, batch: Batch) -> None:
        """Take `batch` in, whole or, when an error is raised, not at all.

        Raises:
            PermanentError: it cannot be taken; smaller parts of it will be tried.
        """
        ...

    def flush(self, now: int) -> Sequence[Derived]:
        """Return what is due at `now`, Unix nanoseconds, in requests of a size that a receiver would take."""
        ...


@dataclass(frozen=True, slots=True)
class BatchBounds:
    """How a worker cuts batches: wait up to `timeout` seconds for `min_items`, never above the maxima."""

    max_items: int = 16_384
    max_bytes: int = 8 * 1024 * 1024
    min_items: int = 0
    timeout: float = 0.0


@runtime_checkable
class Admission(Protocol):
    """Decides whether the collector takes more in."""

    def admit(self, size_bytes: int) -> None:
        """Raise RefusedError when there is no room for `size_bytes` more."""
        ...


class Authenticator(Protocol):
    """Checks a request's credentials; header names are lower case."""

    def recognise(self, headers: Mapping[str, str]) -> Mapping[str, str] | None:
        """Return what `authenticate` would where that takes no time, None where it must be asked. Never blocks."""
        ...

    def authenticate(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return what is known of the sender (`Record.context`). May take long and runs in a thread.

        Raises:
            UnauthenticatedError: the credentials are missing or wrong; the message holds none of them.
        """
        ...

    @property
    def challenge(self) -> str:
        """The value of HTTP's `WWW-Authenticate`."""
        ...


Acceptor = Callable[[Signal, bytes, int, Mapping[str, str]], Awaitable[None]]
"""`await accept(signal, payload, item_count, context)`: returns when the request is durable; raises RefusedError."""


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """What the collector hands to a receiver.

    `accept` makes a request durable; `signals` are those that a pipeline wants from this receiver;
    `authenticators` by extension id; `announce(name, address)` tells the address that is really listened on.
    """

    component_id: str
    signals: frozenset[Signal]
    accept: Acceptor
    authenticators: Mapping[str, Authenticator]
    announce: Callable[[str, str], None]


class Receiver(Protocol):
    """Takes telemetry in and acknowledges it when it is durable."""

    async def start(self) -> None:
        """Listen. Raises OSError, with the address in its text, when it cannot."""
        ...

    async def shutdown(self) -> None:
        """Stop listening, answer what is in flight, then return. Safe twice, and without start."""
        ...


C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True)
class ReceiverFactory(Generic[C]):
    """A receiver's type, its configuration and how it is made."""

    component_type: str
    config: type[C]
    create: Callable[[C, ReceiverSettings], Receiver]
    signals: frozenset[Signal]


@dataclass(frozen=True, slots=True)
class ProcessorFactory(Generic[C]):
    """A processor's type, its configuration and what it does: cut batches, admit at the door, or change items."""

    component_type: str
    config: type[C]
    create: Callable[[C], BatchBounds | Admission | Transform]
    signals: frozenset[Signal] = frozenset(Signal)


@dataclass(frozen=True, slots=True)
class ExporterFactory(Generic[C]):
    """An exporter's type, its configuration and how it is made.

    `shared`: all pipelines that name it have one process and one instance, since it listens at one address or its state
    is one; else each pipeline has its own. `disabled` returns why what is configured so is switched off, None if it is
    not: it then has no process, takes nothing and holds nothing back, and everything else runs.
    """

    component_type: str
    config: type[C]
    create: Callable[[C], Exporter]
    signals: frozenset[Signal]
    shared: bool = False
    disabled: Callable[[C], str | None] | None = None


@dataclass(frozen=True, slots=True)
class ConnectorFactory(Generic[C]):
    """A connector's type, its configuration and how it is made; `pairs` are the signals it takes and what each becomes.

    All pipelines that name it have one process and one instance.
    """

    component_type: str
    config: type[C]
    create: Callable[[C], Connector]
    pairs: frozenset[tuple[Signal, Signal]]


@dataclass(frozen=True, slots=True)
class ExtensionFactory(Generic[C]):
    """An extension's type and configuration; `create` makes an authenticator, None where others read the config."""

    component_type: str
    config: type[C]
    create: Callable[[C], Authenticator] | None = None
