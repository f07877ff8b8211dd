"""One span and one log through everything, as a client sends them, to be read back."""

import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit
from uuid import uuid4

from ganglion import __version__
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ganglion_query.model import Trace
from ganglion_query.reader import Reader

__all__ = ["SERVICE", "SelfTestError", "SelfTestImpossible", "read_back", "send"]

SERVICE = "ganglion-self-test"
_TIMEOUT = 10.0


class SelfTestError(Exception):
    """The self-test did not come through; the message says how far it came."""


class SelfTestImpossible(Exception):  # noqa: N818 (not an error)
    """The receiver wants credentials or TLS, which the self-test does not have."""


def send(endpoint: str) -> str:
    """Send a span and a log in it to `endpoint` (`host:port` or a URL) by OTLP/HTTP; return the trace id.

    Raises:
        SelfTestError: the receiver did not take them.
        SelfTestImpossible: it lets nobody in without credentials or TLS.
    """
    url = endpoint if "://" in endpoint else f"http://{_reachable(endpoint)}"
    trace_id, span_id = uuid4().bytes, uuid4().bytes[:8]
    now = time.time_ns()
    _post(f"{url}/v1/traces", _traces(trace_id, span_id, now).SerializeToString())
    _post(f"{url}/v1/logs", _logs(trace_id, span_id, now).SerializeToString())
    return trace_id.hex()


def read_back(reader: Reader, trace_id: str, timeout: float = 20.0) -> Trace:
    """Return the trace as soon as its span and its log are in the database.

    Raises:
        SelfTestError: they are not there after `timeout` seconds.
        ReaderError: the database cannot be asked.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        trace = reader.trace(trace_id)
        if trace.spans and trace.logs:
            return trace
        # The database does not tell who only reads that a row has come.
        time.sleep(0.05)
    raise SelfTestError(f"the self-test was acknowledged, but is not in the database after {timeout:.0f} s")


def _reachable(endpoint: str) -> str:
    """Return where to find a server that listens everywhere."""
    return endpoint.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104 (not ours)


def _post(url: str, body: bytes) -> None:
    if urlsplit(url).scheme != "http":
        raise SelfTestImpossible(f"{url} wants TLS")
    headers = {"Content-Type": "application/x-protobuf", "User-Agent": f"ganglion-self-test/{__version__}"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 (http only, see above)
    # Not the default opener: a proxy in the environment has no part in this.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        with error:
            if error.code in {401, 403}:
                raise SelfTestImpossible(f"{url} wants credentials") from None
            raise SelfTestError(f"{url} answered {error.code} {error.reason}") from None
    except OSError as error:
        raise SelfTestError(f"{url}: {getattr(error, 'reason', error)}") from None


def _resource() -> Resource:
    return Resource(attributes=[_text("service.name", SERVICE), _text("service.version", __version__)])


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _traces(trace_id: bytes, span_id: bytes, now: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add(resource=_resource())
    span = resource.scope_spans.add().spans.add(trace_id=trace_id, span_id=span_id, name="self-test")
    span.kind = Span.SPAN_KIND_INTERNAL
    span.start_time_unix_nano, span.end_time_unix_nano = now - 2_000_000, now
    return request


def _logs(trace_id: bytes, span_id: bytes, now: int) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add(resource=_resource())
    log = resource.scope_logs.add().log_records.add(trace_id=trace_id, span_id=span_id)
    log.time_unix_nano = log.observed_time_unix_nano = now - 1_000_000
    log.severity_number, log.severity_text = SeverityNumber.SEVERITY_NUMBER_INFO, "INFO"
    log.body.string_value = "received by OTLP, journalled, stored, read back"
    return request
