"""Configurations as they are found in public repositories, against the real components; and spoilt ones."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ganglion_collector.config import load
from ganglion_collector.config.document import parse_document
from ganglion_collector.errors import InvalidConfigError
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = parse_document((ROOT / "otel-collector.yaml").read_text(encoding="utf-8"), "shipped")

QUIRKS = {
    "null protocols, old exporter names, flow and block lists": """
        receivers:
          otlp:
            protocols:
              grpc:
              http:
        processors:
          batch:
          memory_limiter: {check_interval: 5s, limit_mib: 1500, spike_limit_mib: 512}
        exporters:
          otlp/tempo:
            endpoint: "http://tempo:4317"
            tls: {insecure: true}
          otlphttp/loki:
            endpoint: http://loki:3100/otlp
            tls:
              insecure: true
          logging: {loglevel: debug}
        extensions: {health_check: }
        service:
          extensions: [health_check]
          pipelines:
            traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlp/tempo, logging]}
            logs:
              receivers:
                - otlp
              processors: []
              exporters:
                - otlphttp/loki
          telemetry: {logs: {level: "DEBUG"}, metrics: {address: ":8888"}}
        """,
    "queue, retry and compression keys of the Collector": """
        receivers:
          otlp:
            protocols:
              grpc: {endpoint: "0.0.0.0:4317", max_recv_msg_size_mib: 16, include_metadata: true}
              http: {endpoint: ":4318", cors: {allowed_origins: ["http://*", "https://*"], max_age: 7200}}
        processors:
          batch: {timeout: 1s, send_batch_size: 1024, send_batch_max_size: 2_048}
        exporters:
          otlp:
            endpoint: ${COLLECTOR_HOST:-gateway}:4317
            compression: gzip
            headers: {x-api-key: "${API_KEY}"}
            retry_on_failure: {enabled: true, initial_interval: 5s, max_interval: 30s, max_elapsed_time: 300s}
            sending_queue: {enabled: true, num_consumers: 4, queue_size: 100}
          debug: {verbosity: detailed, sampling_initial: 5, sampling_thereafter: 200}
        service:
          extensions: []
          pipelines:
            traces/1: {receivers: [otlp], processors: [batch], exporters: [otlp, debug]}
            metrics: {receivers: [otlp], processors: [batch], exporters: [debug]}
          telemetry:
            metrics: {level: detailed, readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 8888}}}}]}
        """,
    "two receivers of one type": """
        receivers:
          otlp: {protocols: {grpc: {endpoint: localhost:4317}}}
          otlp/2: {protocols: {http: {endpoint: localhost:55679}}}
        exporters: {debug: {}}
        service: {pipelines: {logs: {receivers: [otlp, otlp/2], exporters: [debug]}}}
        """,
    "metrics of spans beside traces, in the old spelling": """
        receivers: {otlp: {protocols: {grpc: , http: }}}
        processors: {batch: }
        connectors: {spanmetrics: }
        exporters:
          otlp: {endpoint: "jaeger:4317", tls: {insecure: true}}
          prometheus: {endpoint: "0.0.0.0:8889"}
        service:
          pipelines:
            traces: {receivers: [otlp], processors: [batch], exporters: [spanmetrics, otlp]}
            metrics/spanmetrics: {receivers: [spanmetrics], exporters: [prometheus]}
        """,
    "metrics of spans with dimensions, exemplars and growing buckets": """
        receivers: {otlp: {protocols: {grpc: }}}
        connectors:
          span_metrics/red:
            namespace: ""
            histogram: {unit: s, exponential: {max_size: 100}}
            dimensions: [{name: http.request.method, default: GET}, {name: http.response.status_code}]
            exclude_dimensions: [status.code]
            dimensions_cache_size: 1000
            exemplars: {enabled: true}
            aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE
            metrics_flush_interval: 15s
            metrics_expiration: 5m
            events: {enabled: true, dimensions: [{name: exception.type}]}
            resource_metrics_key_attributes: [service.name, telemetry.sdk.language]
        exporters:
          prometheus:
            endpoint: ":8889"
            namespace: ""
            const_labels: {cluster: one}
            enable_open_metrics: true
            add_metric_suffixes: false
            send_timestamps: true
            metric_expiration: 180m
            resource_to_telemetry_conversion: {enabled: true}
        service:
          pipelines:
            traces: {receivers: [otlp], exporters: [span_metrics/red]}
            metrics: {receivers: [otlp, span_metrics/red], exporters: [prometheus]}
        """,
    "counts of logs, spans and their events": """
        receivers: {otlp: {protocols: {grpc: }}}
        connectors:
          count:
          count/named:
            spans: {my.span.count: {description: Spans by environment., attributes: [{key: env, default_value: x}]}}
            spanevents: {my.event.count: {description: Events.}}
            logs: {my.log.count: {description: Records by service., attributes: [{key: service.name}]}}
        exporters: {prometheus: {endpoint: "localhost:8889"}, debug: }
        service:
          pipelines:
            traces: {receivers: [otlp], exporters: [debug, count, count/named]}
            logs: {receivers: [otlp], exporters: [debug, count, count/named]}
            metrics: {receivers: [count, count/named], exporters: [prometheus]}
        """,
    "deltas to Prometheus by remote write": """
        receivers: {otlp: {protocols: {http: {endpoint: "0.0.0.0:4318"}}}}
        processors:
          memory_limiter: {check_interval: 1s, limit_percentage: 80, spike_limit_percentage: 25}
          deltatocumulative: {max_stale: 5m}
          batch: {timeout: 10s}
        exporters:
          prometheusremotewrite:
            endpoint: http://mimir:9009/api/v1/push
            headers: {X-Scope-OrgID: demo}
            external_labels: {cluster: one}
            tls: {insecure: true}
            target_info: {enabled: true}
            resource_to_telemetry_conversion: {enabled: true}
            remote_write_queue: {enabled: true, queue_size: 10000, num_consumers: 5}
        service:
          pipelines:
            metrics:
              receivers: [otlp]
              processors: [memory_limiter, deltatocumulative, batch]
              exporters: [prometheusremotewrite]
        """,
    "metrics to Prometheus, traces and logs by OTLP": """
        receivers: {otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317"}, http: {endpoint: "0.0.0.0:4318"}}}}
        processors: {batch: , memory_limiter: {check_interval: 1s, limit_mib: 400}}
        exporters:
          prometheus: {endpoint: "0.0.0.0:9464"}
          otlp/tempo: {endpoint: "tempo:4317", tls: {insecure: true}}
          otlphttp/loki: {endpoint: "http://loki:3100/otlp"}
        service:
          pipelines:
            traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlp/tempo]}
            metrics: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [prometheus]}
            logs: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlphttp/loki]}
        """,
}


@pytest.mark.parametrize("text", QUIRKS.values(), ids=QUIRKS)
def test_a_configuration_as_found_in_the_wild_loads(text: str) -> None:
    config = load([f"yaml:{text}"], environ={"API_KEY": "s3cret"})

    assert config.pipelines
    assert not any("s3cret" in warning for warning in config.warnings)


def test_only_what_is_really_missing_stops_a_large_configuration() -> None:
    text = """
        receivers:
          otlp: {protocols: {grpc: {endpoint: "${env:OTEL_COLLECTOR_HOST:-0.0.0.0}:4317"}}}
          host_metrics: {root_path: /hostfs, scrapers: {cpu: , memory: }}
          redis: {endpoint: "valkey:6379", collection_interval: 10s}
        processors:
          memory_limiter: {check_interval: 5s, limit_percentage: 80, spike_limit_percentage: 25}
          resource_detection: {detectors: [env, system]}
        connectors: {span_metrics: , service_graph: }
        exporters:
          debug:
          otlp_grpc: {endpoint: "jaeger:4317", tls: {insecure: true}, sending_queue: {batch: }}
          otlp_http/prometheus: {endpoint: "http://prometheus:9090/api/v1/otlp", sending_queue: {batch: }}
          opensearch: {logs_index: otel-logs}
        service:
          pipelines:
            traces: {receivers: [otlp], processors: [memory_limiter], exporters: [otlp_grpc, debug, span_metrics]}
            metrics:
              receivers: [host_metrics, otlp, span_metrics]
              processors: [resource_detection, memory_limiter]
              exporters: [otlp_http/prometheus, debug]
        """

    with pytest.raises(InvalidConfigError) as caught:
        load([f"yaml:{text}"], environ={})

    assert [error.path for error in caught.value.errors] == [
        "receivers::host_metrics",
        "processors::resource_detection",
    ]


def test_the_example_of_a_connector_in_the_documents_loads() -> None:
    document = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    _, _, example = document.partition("## Connectors")[2].partition("```yaml\n")
    text, _, _ = example.partition("```")

    config = load([f"yaml:{text}"], environ={"GANGLION_DATABASE_URL": "postgresql://localhost/x"})

    assert set(config.connectors) == {"span_metrics"}
    assert config.warnings == ()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def spoilt(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = spoilt(copy[path[0]], path[1:], new)
    return copy


junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(["debug", "${X}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.sampled_from(sorted(places(SHIPPED), key=str)), junk)
def test_a_spoilt_configuration_loads_or_says_what_is_wrong(path: tuple[Any, ...], new: Any) -> None:
    text = json.dumps(spoilt(SHIPPED, path, new))
    lines: list[str] = []

    try:
        load([f"yaml:{text}"], environ={"GANGLION_DATABASE_URL": "postgresql://localhost/x", "X": "5"})
    except InvalidConfigError as error:
        lines = str(error).splitlines()
        assert len(lines) == len(error.errors)  # noqa: PT017 - most examples raise nothing

    assert all(": " in line and "; " in line for line in lines)
