"""Series as requests of the remote write protocol, of a bounded size.

Field numbers: https://github.com/prometheus/prometheus, types.proto in prompb/ and in prompb/io/prometheus/write/v2/.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Protocol

from ganglion_collector.metric_values import ExponentialHistogram

from ganglion_exporters._prometheus.model import Exemplar, Family, Kind, Labels
from ganglion_exporters._prometheus.native import span_fields
from ganglion_exporters._prometheus.wire import delimited, double, message, signed, timestamp_ms, unsigned, varint
from ganglion_exporters.prometheusremotewrite.series import TimeSeries

__all__ = ["Request", "requests"]

# The value that marks the end of a series is a signalling NaN; as a float its bits might not stay (Prometheus,
# model/value: StaleNaN).
_STALE = varint(1 << 3 | 1) + 0x7FF0_0000_0000_0002.to_bytes(8, "little")
_MOST_LABELS_KEPT = 20_000
_TYPES: dict[Kind, int] = {
    "unknown": 0,
    "counter": 1,
    "gauge": 2,
    "histogram": 3,
    "summary": 5,
    "info": 6,
    "stateset": 7,
}


@dataclass(slots=True)
class Request:
    """A message, not compressed yet; `samples` counts histograms too."""

    body: bytes
    samples: int


class _Message(Protocol):
    def series(self, series: TimeSeries) -> bytes:
        """Return a field that holds `series`, remembering what the message has to say of it elsewhere."""
        ...

    @property
    def size(self) -> int:
        """Bytes of what stands beside the series so far."""
        ...

    @property
    def entries(self) -> int:
        """How many things stand beside the series so far."""
        ...

    def beside(self, entries: int) -> bytes:
        """Return the first `entries` of what stands beside the series."""
        ...


def requests(series: Iterable[TimeSeries], *, version_2: bool, metadata: bool, most_bytes: int) -> Iterator[Request]:
    """Return messages of at most `most_bytes`, or of a single series; those of one series stay in their order."""
    kept = _Labels()
    made, parts = _begin(kept, version_2=version_2, metadata=metadata), list[bytes]()
    size, samples = 0, 0
    for one in series:
        entries = made.entries
        part = made.series(one)
        if parts and size + len(part) + made.size > most_bytes:
            yield Request(b"".join(parts) + made.beside(entries), samples)
            made, parts, size, samples = _begin(kept, version_2=version_2, metadata=metadata), [], 0, 0
            # Made again: the numbers of its symbols are those of the new message.
            part = made.series(one)
        parts.append(part)
        size += len(part)
        samples += len(one.samples) + len(one.histograms)
    if parts:
        yield Request(b"".join(parts) + made.beside(made.entries), samples)


def _begin(kept: "_Labels", *, version_2: bool, metadata: bool) -> _Message:
    return _Version2() if version_2 else _Version1(kept, metadata=metadata)


class _Labels(dict[tuple[str, str], bytes]):
    """The bytes of each label seen lately, as a field of protocol 1.0."""

    def __missing__(self, label: tuple[str, str]) -> bytes:
        if len(self) > _MOST_LABELS_KEPT:
            self.clear()
        found = self[label] = message(1, delimited(1, label[0]) + delimited(2, label[1]))
        return found

    def of(self, labels: Labels) -> bytes:
        return b"".join([self[label] for label in labels])


@dataclass(slots=True)
class _Version1:
    """prometheus.WriteRequest."""

    labels: _Labels
    metadata: bool
    families: dict[str, bytes] = field(default_factory=dict[str, bytes])
    size: int = 0

    def series(self, series: TimeSeries) -> bytes:
        family = series.family
        if self.metadata and family.name not in self.families:
            self.families[family.name] = about = _metadata(family)
            self.size += len(about)
        histograms = [message(4, _histogram(time, series.histograms[time])) for time in sorted(series.histograms)]
        exemplars = [message(3, self.labels.of(one.labels) + _exemplar(one)) for one in _in_order(series)]
        return message(1, self.labels.of(series.labels) + _samples(series) + b"".join([*exemplars, *histograms]))

    @property
    def entries(self) -> int:
        return len(self.families)

    def beside(self, entries: int) -> bytes:
        return b"".join(islice(self.families.values(), entries))


def _metadata(family: Family) -> bytes:
    texts = delimited(2, family.name) + delimited(4, family.help) + delimited(5, family.unit)
    return message(3, unsigned(1, _TYPES[family.kind]) + texts)


@dataclass(slots=True)
class _Version2:
    """io.prometheus.write.v2.Request: texts stand once, in a table; the first is the empty one."""

    symbols: dict[str, int] = field(default_factory=lambda: {"": 0})
    size: int = len(delimited(4, ""))

    def series(self, series: TimeSeries) -> bytes:
        family = series.family
        about = (
            unsigned(1, _TYPES[family.kind])
            + unsigned(3, self._symbol(family.help))
            + unsigned(4, self._symbol(family.unit))
        )
        histograms = [message(3, _histogram(time, series.histograms[time])) for time in sorted(series.histograms)]
        exemplars = [message(4, self._labels(one.labels) + _exemplar(one)) for one in _in_order(series)]
        created = timestamp_ms(6, series.start) if series.start else b""
        body = [self._labels(series.labels), _samples(series), *histograms, *exemplars, message(5, about), created]
        return message(5, b"".join(body))

    @property
    def entries(self) -> int:
        return len(self.symbols)

    def beside(self, entries: int) -> bytes:
        return b"".join([delimited(4, symbol) for symbol in islice(self.symbols, entries)])

    def _labels(self, labels: Labels) -> bytes:
        return message(1, b"".join([varint(self._symbol(text)) for label in labels for text in label]))

    def _symbol(self, text: str) -> int:
        found = self.symbols.get(text)
        if found is None:
            found = self.symbols[text] = len(self.symbols)
            self.size += len(delimited(4, text))
        return found


def _samples(series: TimeSeries) -> bytes:
    samples = series.samples
    return b"".join(
        [
            message(2, (_STALE if value is None else double(1, value)) + unsigned(2, time))
            for time, value in (samples.items() if len(samples) == 1 else sorted(samples.items(), key=_time))
        ]
    )


def _time(sample: tuple[int, float | None]) -> int:
    return sample[0]


def _in_order(series: TimeSeries) -> list[Exemplar]:
    return sorted(series.exemplars, key=attrgetter("time"))


def _exemplar(exemplar: Exemplar) -> bytes:
    return double(2, exemplar.value) + (timestamp_ms(3, exemplar.time) if exemplar.time else b"")


def _histogram(time: int, value: ExponentialHistogram) -> bytes:
    """Write a native histogram; both versions have the same message. That counts may begin anew is left to be seen."""
    total = double(3, value.sum) if value.sum is not None else b""
    zero = double(5, value.zero_threshold) + unsigned(6, value.zero_count)
    buckets = span_fields(8, 9, value.negative) + span_fields(11, 12, value.positive)
    return unsigned(1, value.count) + total + varint(4 << 3) + signed(value.scale) + zero + buckets + unsigned(15, time)
