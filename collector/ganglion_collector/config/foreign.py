"""Components that the OpenTelemetry Collector (core and contrib) has and Ganglion does not, and what to do instead.

Names from the Collector's distributions at v0.159.0.
"""

from collections.abc import Mapping
from typing import Any

from ganglion_collector.config.catalog import Kind
from ganglion_collector.config.document import is_map
from ganglion_collector.config.expand import typed

__all__ = ["advice", "rename_keys"]

_INSTEAD: Mapping[Kind, str] = {
    "receivers": "run it in an OpenTelemetry Collector and let that send OTLP here (exporter otlp_grpc)",
    "processors": "leave it out, or do it in an OpenTelemetry Collector before or after this one",
    "exporters": "send OTLP (otlp_grpc or otlp_http) to an OpenTelemetry Collector that has it",
    "connectors": "leave it out, or do it in an OpenTelemetry Collector before or after this one",
    "extensions": "leave it out of extensions and service::extensions",
}

_SPECIAL: Mapping[Kind, Mapping[str, str]] = {
    "receivers": {
        "jaeger": "let the service send OTLP; Jaeger's own clients are retired in favour of OpenTelemetry",
        "opencensus": "let the service send OTLP; OpenCensus is retired in favour of OpenTelemetry",
    },
    "processors": {
        "queued_retry": "leave it out: every exporter has retry_on_failure and the journal as its queue",
        "spanmetrics": "write the connector span_metrics between a pipeline for traces and one for metrics",
        "groupbytrace": "leave it out: traces are put together when they are read",
    },
    "exporters": {
        "jaeger": "Jaeger takes OTLP: write otlp_grpc with endpoint: <jaeger host>:4317",
        "jaeger_thrift": "Jaeger takes OTLP: write otlp_grpc with endpoint: <jaeger host>:4317",
        "loki": "Loki takes OTLP: write otlp_http with endpoint: http://<loki host>:3100/otlp",
        "elasticsearch": "Elastic takes OTLP: write otlp_grpc with the endpoint of its APM server",
        "sapm": "Splunk takes OTLP: write otlp_http with its OTLP endpoint",
        "datadog": "the Datadog agent takes OTLP: write otlp_grpc with endpoint: <agent host>:4317",
        "file": "write debug with verbosity: detailed, or read the rows from PostgreSQL",
        "nop": "write debug",
    },
    "connectors": {
        "exceptions": "leave it out: `ganglion errors` finds exceptions, and span_metrics counts the spans that failed",
        "forward": "leave it out: name the receivers of the one pipeline in the other",
        "servicegraph": "leave it out; write span_metrics for calls, errors and durations of each service",
        "service_graph": "leave it out; write span_metrics for calls, errors and durations of each service",
    },
    "extensions": {
        "zpages": "leave it out: `ganglion status` and the health endpoint show every component's state",
        "pprof": "leave it out: py-spy looks into a running Python process",
        "file_storage": "leave it out: the journal is durable by itself; its folder is set by the extension journal",
        "memory_ballast": "leave it out; write the processor memory_limiter",
        "oauth2client": "write a bearer token: bearertokenauth",
        "oidc": "write bearertokenauth, or check tokens in a proxy in front",
    },
}

# ruff: noqa: E501 - long lists of names
_NAMES: Mapping[Kind, str] = {
    "receivers": """
        active_directory_ds aerospike apache apachespark awscloudwatch awscontainerinsight awscontainerinsightreceiver
        awsecscontainermetrics awsfirehose awss3 awsxray azureblob azureeventhub azuremonitor bigip carbon chrony
        cloudflare cloudfoundry collectd couchdb datadog docker_stats dotnet_diagnostics elasticsearch expvar
        faro file file_log filelog filestats flinkmetrics fluent_forward fluentforward github gitlab googlecloudmonitoring
        googlecloudpubsub googlecloudspanner haproxy host_metrics hostmetrics http_check httpcheck huaweicloudces iis influxdb
        jmx journald k8s_cluster k8s_events k8s_objects k8sobjects k8slog kafka kafka_metrics kafkametrics kubelet_stats
        kubeletstats libhoney loki memcached mongodb mongodbatlas mysql namedpipe netflow nginx nop nsxt ntp opencensus
        oracledb osquery otelarrow otlp_json_file otlpjsonfile podman_stats postgresql pprof prometheus prometheus_remote_write
        prometheusremotewrite prometheus_simple pulsar purefa purefb rabbitmq receiver_creator redis riak saphana sapm
        signalfx simple_prometheus skywalking snmp snowflake solace splunk_hec splunkenterprise sql_query sqlquery
        sqlserver sshcheck statsd stef syslog systemd tcp_check tcpcheck tcp_log tcplog tls_check tlscheck udp_log udplog
        vcenter vcr wavefront webhookevent windows_event_log windowseventlog windowsperfcounters yanggrpc zipkin
        zookeeper""",
    "processors": """
        attributes coralogix datadogsemantics deltatorate delta_to_rate dns_lookup filter gen_ai_normalizer genainormalizer geoip group_by_attrs groupbyattrs
        groupbytrace group_by_trace interval isolationforest k8s_attributes k8sattributes log_dedup logdedup logstransform logs_transform
        lookup metric_start_time metricsgeneration metricstarttime metricstransform metrics_generation metrics_transform
        probabilistic_sampler queuebatch redaction remotetap remote_tap resource resource_detection resourcedetection
        schema service_graph servicegraph span span_pruning sumologic tail_sampling transform unroll queued_retry""",
    "exporters": """
        alertmanager alibabacloud_logservice awscloudwatchlogs awsemf awskinesis awss3 awsxray azureblob azuredataexplorer
        azuremonitor bmchelix carbon cassandra clickhouse coralogix datadog dataset doris elasticsearch faro file
        google_cloud_storage googlecloud googlecloudpubsub googlemanagedprometheus honeycombmarker influxdb jaeger jaeger_thrift
        kafka kineticadb load_balancing loadbalancing logicmonitor logzio loki mezmo nop opencensus opensearch otelarrow
        otlp_file pulsar rabbitmq sapm sematext sentry signalfx
        splunk_hec stef sumologic syslog tencentcloud_logservice tinybird zipkin""",
    "connectors": """
        datadog exceptions failover forward grafanacloud metrics_as_logs metricsaslogs otlp_json otlpjson
        round_robin roundrobin routing service_graph servicegraph signal_to_metrics signaltometrics slow_sql slowsql
        sum""",
    "extensions": """
        ack asapauth avro_log_encoding awscloudwatchmetricstreams_encoding awslogs_encoding azure_auth azure_encoding
        azureauth cfgardenobserver cgroupruntime datadog db_storage docker_observer ecs_observer ecs_task_observer
        file_storage googleclientauth googlecloudlogentry_encoding headers_setter healthcheckv2 host_observer http_forwarder
        jaeger_encoding jaegerremotesampling json_log_encoding k8s_leader_elector k8s_observer kafkatopics_observer
        memory_ballast memory_limiter oauth2client oidc opamp otlp_encoding pprof redis_storage remotetap sigv4auth
        skywalking_encoding solarwindsapmsettings sumologic text_encoding zipkin_encoding zpages""",
}


def advice(kind: Kind, component_type: str) -> str | None:
    """Say what to do instead of a component that only the Collector has; None if it does not have it either."""
    special = _SPECIAL[kind].get(component_type)
    if special is not None:
        return special
    return _INSTEAD[kind] if component_type in _NAMES[kind].split() else None


_LOG_LEVELS = {"debug": "detailed", "info": "normal"}


def rename_keys(kind: Kind, component_type: str, body: Any, path: str) -> tuple[Any, list[str]]:
    """Return `body` with keys that the Collector renamed in their present spelling, and warnings that say so."""
    if kind != "exporters" or component_type not in {"logging", "debug"}:
        return body, []
    warnings: list[str] = []
    if component_type == "logging":
        warnings.append(f"{path}: the Collector calls this exporter debug since v0.111; write debug")
    if not is_map(body) or "loglevel" not in body:
        return body, warnings
    rest = {key: value for key, value in body.items() if key != "loglevel"}
    verbosity = _LOG_LEVELS.get(str(typed(body["loglevel"])).lower(), "basic")
    warnings.append(f"{path}::loglevel is now called verbosity; taken as verbosity: {verbosity}")
    return {"verbosity": verbosity} | rest, warnings
