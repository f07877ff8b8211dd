"""Golden cases: OTLP metrics in YAML, and the Prometheus text that the compatibility specification asks for."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml
from ganglion_collector.metric_values import Buckets, ExponentialHistogram, Histogram, Summary
from ganglion_exporters._prometheus.model import Labels, Point
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics

from tests.exporters.batches import key_values

GOLDEN = Path(__file__).parent / "golden"
_ATTRIBUTES = {"attributes", "filtered_attributes", "metadata"}
_IDS = {"trace_id", "span_id"}


def golden_cases() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in sorted(GOLDEN.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text()):
            yield f"{path.stem}-{case['rule']}-{case['name'].replace(' ', '-')}", case


def request_of(case: Mapping[str, Any]) -> ExportMetricsServiceRequest:
    """Build the request of a case: its `metrics` in one scope of one resource, or all of its `resource_metrics`."""
    resources = case.get("resource_metrics") or [case]
    return ExportMetricsServiceRequest(resource_metrics=[_resource_metrics(one) for one in resources])


def _resource_metrics(one: Mapping[str, Any]) -> ResourceMetrics:
    scope = dict(one.get("scope", {}))
    scope_metrics = {"schema_url": scope.pop("schema_url", ""), "scope": scope, "metrics": one["metrics"]}
    resource = {"attributes": one.get("resource", {})}
    return ResourceMetrics(**_plain({"resource": resource, "scope_metrics": [scope_metrics]}))


def _plain(value: Any) -> Any:
    """Turn YAML into what a protobuf message is made of: attributes from mappings, ids from hexadecimal."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields: dict[str, Any] = {}
    for key, item in value.items():
        if key in _ATTRIBUTES:
            fields[key] = key_values(item)
        else:
            fields[key] = bytes.fromhex(item) if key in _IDS else _plain(item)
    return fields


def render(points: Iterable[Point]) -> str:
    """Write points in the manner of OpenMetrics; what it lacks (native histograms, deltas) is spelled out."""
    lines: list[str] = []
    family = None
    for point in points:
        if point.family != family:
            family = point.family
            comments = {"HELP": family.help, "TYPE": family.kind, "UNIT": family.unit}
            lines += [f"# {word} {family.name} {text}" for word, text in comments.items() if text]
        lines += [sample + ("" if point.temporality != 1 else " delta") for sample in _samples(point)]
        for exemplar in point.exemplars:
            lines[-1] += f" # {_labels(exemplar.labels)} {exemplar.value:g} {exemplar.time / 1e9:g}"
    return "\n".join(lines)


def _samples(point: Point) -> Iterator[str]:
    name, labels = point.family.name, point.labels
    match point.value:
        case None:
            yield f"{name}{_labels(labels)} ended"
        case Histogram() as value:
            bounds = [*(f"{bound}" for bound in value.bounds), "+Inf"]
            for bound, count in zip(bounds, accumulate(value.counts), strict=True):
                yield f"{name}_bucket{_labels((*labels, ('le', bound)))} {count}"
            if value.sum is not None:
                yield f"{name}_sum{_labels(labels)} {value.sum}"
            yield f"{name}_count{_labels(labels)} {value.count}"
        case Summary() as value:
            for quantile, size in value.quantiles:
                yield f"{name}{_labels((*labels, ('quantile', f'{quantile}')))} {size}"
            yield f"{name}_sum{_labels(labels)} {value.sum}"
            yield f"{name}_count{_labels(labels)} {value.count}"
        case ExponentialHistogram() as value:
            zero = f"schema {value.scale} zero {value.zero_count}@{value.zero_threshold}"
            sides = f"{_buckets(value.positive)} {_buckets(value.negative)}"
            yield f"{name}{_labels(labels)} {zero} {sides} sum {value.sum} count {value.count}"
        case value:
            yield f"{name}{_labels(labels)} {value}"


def _buckets(buckets: Buckets) -> str:
    return f"{buckets.offset}:{list(buckets.counts)}"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
