"""Record as OTLP what programs send under instrumentations of models' SDKs, for the tests.

The instrumentations are not among the development dependencies: all of them at once make every instrumented program
slow to start. They live in an environment of their own:

    python -m venv .venv/llm
    .venv/llm/bin/pip install openai anthropic openinference-instrumentation-openai \\
        openinference-instrumentation-anthropic openinference-instrumentation-langchain \\
        opentelemetry-instrumentation-openai opentelemetry-instrumentation-anthropic \\
        opentelemetry-instrumentation-openai-v2 'opentelemetry-util-genai<1.2'
    python -m tests.exporters.llm_programs.record .venv/llm/bin/python
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.exporters.llm_oracle import RECORDINGS, run_program
from tests.langsmith_server import LangSmithServer

PROGRAMS = [
    ("openai_calls", "openinference"),
    ("openai_calls", "openllmetry"),
    ("openai_calls", "opentelemetry"),
    ("anthropic_calls", "openinference"),
    ("anthropic_calls", "openllmetry"),
    ("langchain_runs", "openinference"),
]
_CONTENT = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "LANGSMITH_TRACING": "false",
    "TRACELOOP_TELEMETRY": "false",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai,anthropic,langchain,httpx,httpx2,requests",
}
_PATHS = re.compile(r'File \\?"[^"\\]*/(?=[^"/\\]+\\?")')


def record(program: str, instrumentation: str, python: Path) -> None:
    """Run one and write its recording."""
    with LangSmithServer() as server:
        modules = os.pathsep.join(path for path in sys.path if path)
        run_program(program, server, instrumentation, python=str(python), **_CONTENT, PYTHONPATH=modules)
        whole = ExportTraceServiceRequest()
        for one in server.otlp:
            whole.MergeFrom(one.request)
    for resource in whole.resource_spans:
        kept = [pair for pair in resource.resource.attributes if pair.key == "service.name"]
        del resource.resource.attributes[:]
        resource.resource.attributes.extend(kept)
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.status.message = _PATHS.sub('File "', span.status.message)
                _forget_machine(span.attributes)
                for event in span.events:
                    _forget_machine(event.attributes)
    text = MessageToJson(whole, preserving_proto_field_name=True)
    (RECORDINGS / f"{program}-{instrumentation}.json").write_text(text + "\n", encoding="utf-8")


def _forget_machine(attributes: Iterable[KeyValue]) -> None:
    for pair in attributes:
        if pair.value.HasField("string_value"):
            pair.value.string_value = _PATHS.sub('File "', pair.value.string_value)


def main() -> None:
    RECORDINGS.mkdir(exist_ok=True)
    for program, instrumentation in PROGRAMS:
        record(program, instrumentation, Path(sys.argv[1]).absolute())


if __name__ == "__main__":
    main()
