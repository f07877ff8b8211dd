"""Exponential histograms as Prometheus' native ones: runs of buckets (spans) and the differences of their counts."""

from collections.abc import Sequence
from typing import NamedTuple

from ganglion_collector.metric_values import Buckets, ExponentialHistogram, downscale

from ganglion_exporters._prometheus.wire import message, signed, unsigned

__all__ = ["Side", "has_native", "native", "side", "span_fields"]

_LOWEST, _HIGHEST = -4, 8
_LONGEST_GAP = 2
"""Empty buckets that are cheaper written out than left out."""


class Side(NamedTuple):
    """The buckets of one sign: `spans` are (distance to the end of the one before, length), a delta for each bucket."""

    spans: Sequence[tuple[int, int]]
    deltas: Sequence[int]


def has_native(value: ExponentialHistogram) -> bool:
    """Tell whether native histograms have buckets this coarse."""
    return value.scale >= _LOWEST


def native(value: ExponentialHistogram) -> ExponentialHistogram:
    """Return `value` at a scale that native histograms have."""
    return downscale(value, min(value.scale, _HIGHEST))


def side(buckets: Buckets) -> Side:
    """Return buckets in Prometheus' form, which numbers them by their upper bounds: one more than OTLP does."""
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    end, before, start = 0, 0, 0
    filled = [place for place, count in enumerate(buckets.counts) if count]
    for place in filled:
        index = buckets.offset + place + 1
        if spans and index - end <= _LONGEST_GAP:
            spans[-1] = (start, spans[-1][1] + index - end + 1)
            counts = buckets.counts[place - (index - end) : place + 1]
        else:
            start = index - end
            spans.append((start, 1))
            counts = buckets.counts[place : place + 1]
        for count in counts:
            deltas.append(count - before)
            before = count
        end = index + 1
    return Side(spans, deltas)


def span_fields(span_field: int, delta_field: int, buckets: Buckets) -> bytes:
    """Return buckets as two fields of a message: their spans, and the deltas of their counts."""
    if not buckets.counts:
        return b""
    spans, deltas = side(buckets)
    runs = [message(span_field, b"\x08" + signed(gap) + unsigned(2, length)) for gap, length in spans]
    return b"".join(runs) + message(delta_field, b"".join(map(signed, deltas)))
