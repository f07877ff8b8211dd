"""The store as bytes, so that a restarted process goes on where the one before it stood."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeAlias

import msgspec
from ganglion_collector.metric_values import Value

from ganglion_exporters._prometheus.model import Exemplar, Family, Labels
from ganglion_exporters.prometheus.overflow import Remembered
from ganglion_exporters.prometheus.series import Kept
from ganglion_exporters.prometheus.store import Metric, Store

__all__ = ["load", "save"]

_VERSION = 1

_ROWS = 1000
"""Series in one part: parts are read one by one, so that reading takes little more memory than what comes out."""

_Row: TypeAlias = tuple[Labels, Value, int, int, tuple[Exemplar, ...], float]
"""labels, value, start, time, exemplars, seconds since its last point."""
_Share: TypeAlias = Callable[[tuple[str, str], tuple[str, str]], tuple[str, str]]


class _State(msgspec.Struct, array_like=True):
    version: int
    settings: str
    metrics: list[tuple[Family, list[msgspec.Raw]]]
    overflow: dict[bytes, Remembered]


_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(_State).decode
_decode_rows = msgspec.msgpack.Decoder(list[_Row]).decode


def save(store: Store, settings: str) -> bytes:
    """Return what `store` holds; `settings` says what its names and labels were made with.

    Ages are kept, not times: series do not grow older while nothing runs that could take their points.
    """
    now = store.now
    metrics = [(metric.family, [*_parts(metric, now)]) for metric in store.metrics]
    overflow = {key: one._replace(updated=now - one.updated) for key, one in store.overflow.known.items()}
    return _encode(_State(_VERSION, settings, metrics, overflow))


def _parts(metric: Metric, now: float) -> Iterator[msgspec.Raw]:
    series = iter(metric.series.values())
    while part := [
        (kept.labels, kept.value, kept.start, kept.time, kept.exemplars, now - kept.updated)
        for kept in islice(series, _ROWS)
    ]:
        yield msgspec.Raw(_encode(part))


def load(data: bytes, settings: str, store: Store) -> None:
    """Fill the empty `store`.

    Raises:
        ValueError: `data` is no state of this version, or was made with other settings; the store is still empty.
    """
    now = store.now
    try:
        state = _decode_state(data)
        metrics = _read(state, settings, now)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a state of the prometheus exporter: {error}") from None
    for family, series in metrics:
        store.insert(family, series)
    for key, one in state.overflow.items():
        store.overflow.known[key] = one._replace(updated=now - one.updated)


def _read(state: _State, settings: str, now: float) -> list[tuple[Family, list[Kept]]]:
    if state.version != _VERSION:
        raise ValueError(f"a state of version {state.version}, not {_VERSION}")
    if state.settings != settings:
        raise ValueError("names and labels are made otherwise now; sums of delta points begin anew")
    shared: dict[tuple[str, str], tuple[str, str]] = {}
    return [
        (family, [_kept(row, shared.setdefault, now) for part in parts for row in _decode_rows(part)])
        for family, parts in state.metrics
    ]


def _kept(row: _Row, share: _Share, now: float) -> Kept:
    """`share` makes equal labels one object: most series have most of theirs in common with others."""
    labels, value, start, time, exemplars, age = row
    return Kept(tuple(map(share, labels, labels)), value, start, time, exemplars, now - age)
