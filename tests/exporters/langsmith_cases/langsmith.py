"""LangSmith's own attributes, and the resource's."""

import json
from base64 import b64encode
from uuid import UUID

from ganglion_exporters._langsmith.model import Attachment, GivenIds

from tests.exporters.langsmith_cases import Case

RUN = "01a1f978-586b-72de-b38c-dfb4eacb20b2"
PARENT = "01a1f978-586a-7585-a144-49d89cf3e369"
TRACE = "01a1f978-5864-7e48-89d3-9336ea28b858"
ORDER = f"20261120T145936164424Z{TRACE}.20261120T145936170898Z{PARENT}.20261120T145936171446Z{RUN}"
IDS = {
    "langsmith.span.id": RUN,
    "langsmith.trace.id": TRACE,
    "langsmith.span.parent_id": PARENT,
    "langsmith.span.dotted_order": ORDER,
}

CASES = [
    Case("the run's name", {"langsmith.trace.name": "answer"}, {"name": "answer"}),
    Case("the span's name", {}, {"name": "a span", "run_type": "chain", "is_llm": False, "inputs": {}, "outputs": {}}),
    *(
        Case(f"kind {kind}", {"langsmith.span.kind": kind.upper()}, {"run_type": kind, "is_llm": True})
        for kind in ("llm", "chain", "tool", "retriever", "embedding", "prompt", "parser")
    ),
    Case("unknown kind", {"langsmith.span.kind": "guess"}, {"run_type": "chain"}),
    Case(
        "kind before operation",
        {"langsmith.span.kind": "retriever", "gen_ai.operation.name": "embeddings"},
        {"run_type": "retriever"},
    ),
    Case(
        "ids", IDS, {"given": GivenIds(UUID(RUN), UUID(TRACE), UUID(PARENT), ORDER), "metadata:langsmith.span.id": None}
    ),
    Case(
        "ids of a root",
        {**{key: value for key, value in IDS.items() if "parent" not in key}},
        {"given": GivenIds(UUID(RUN), UUID(TRACE), None, ORDER)},
    ),
    Case(
        "ids without an order",
        {**{key: value for key, value in IDS.items() if "order" not in key}},
        {"given": None, "metadata:langsmith.span.id": RUN, "metadata:langsmith.span.parent_id": PARENT},
    ),
    Case("ids that are none", {**IDS, "langsmith.span.id": "seven"}, {"given": None}),
    Case("project by name", {"langsmith.trace.session_name": "demo"}, {"project": "demo", "project_id": ""}),
    Case("project by id", {"langsmith.trace.session_id": TRACE}, {"project_id": TRACE}),
    Case(
        "a conversation's id for a project's",
        {"langsmith.trace.session_id": "chat 7"},
        {"project_id": "", "metadata:session_id": "chat 7"},
    ),
    Case(
        "project of the resource",
        {},
        {"project": "of all", "metadata:langsmith.project": None},
        resource={"langsmith.project": "of all"},
    ),
    Case(
        "project of the resource, as spans name it",
        {},
        {"project": "of all"},
        resource={"langsmith.trace.session_name": "of all"},
    ),
    Case(
        "project of the span before the resource's",
        {"langsmith.trace.session_name": "mine"},
        {"project": "mine"},
        resource={"langsmith.project": "of all"},
    ),
    Case("tags", {"langsmith.span.tags": "t1, t2,,t1 "}, {"tags": ["t1", "t2"]}),
    Case("tags as a list", {"langsmith.span.tags": ["t1", "t2"]}, {"tags": ["t1", "t2"]}),
    Case(
        "metadata",
        {"langsmith.metadata.plan": "free", "langsmith.metadata.nested": '{"a":1}', "langsmith.metadata.n": 0},
        {"metadata:plan": "free", "metadata:nested": {"a": 1}, "metadata:n": 0},
    ),
    Case(
        "metadata as a map",
        {"langsmith.metadata.nested": {"a": [1, {"b": True}]}},
        {"metadata:nested": {"a": [1, {"b": True}]}},
    ),
    Case(
        "the service's variables are no metadata",
        {
            "langsmith.metadata.LANGSMITH_TRACING": "true",
            "langsmith.metadata.LANGCHAIN_PROJECT": "x",
            "langsmith.request.headers": "authorization: secret",
            "langsmith.traceable": "true",
        },
        {
            "metadata:LANGSMITH_TRACING": None,
            "metadata:LANGCHAIN_PROJECT": None,
            "metadata:langsmith.request.headers": None,
            "metadata:langsmith.traceable": None,
        },
    ),
    Case(
        "usage goes to the outputs",
        {
            "langsmith.span.kind": "llm",
            "langsmith.usage_metadata": '{"input_tokens": 3}',
            "gen_ai.usage.input_tokens": 99,
            "gen_ai.usage.output_tokens": 4,
        },
        {
            "outputs:usage_metadata": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
            "metadata:usage_metadata": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        },
    ),
    Case(
        "usage in metadata stays there",
        {"langsmith.span.kind": "llm", "langsmith.metadata.usage_metadata": '{"input_tokens":3,"total_cost":0.5}'},
        {"outputs": {}, "metadata:usage_metadata": {"input_tokens": 3, "total_tokens": 3, "total_cost": 0.5}},
    ),
    Case("root", {"langsmith.is_root": True}, {"is_root": True}),
    Case("root in JavaScript", {"langsmith.is_root": "true"}, {"is_root": True}),
    Case("reference example", {"langsmith.reference_example_id": RUN}, {"reference_example_id": RUN}),
    Case(
        "reference example that is none",
        {"langsmith.reference_example_id": "x"},
        {"reference_example_id": "", "metadata:langsmith.reference_example_id": "x"},
    ),
    Case(
        "attachments",
        {
            "langsmith.attachments": json.dumps(
                [
                    {"name": "a.png", "content": b64encode(b"png").decode(), "mime_type": "image/png"},
                    {"name": "raw", "content": b64encode(bytes([0, 255])).decode()},
                ]
            )
        },
        {
            "attachments": [
                Attachment("a_png", "image/png", b"png"),
                Attachment("raw", "application/octet-stream", b"\x00\xff"),
            ]
        },
    ),
    Case(
        "attachments that cannot be read",
        {"langsmith.attachments": '[{"name": "a", "content": "?"}, 7]'},
        {"attachments": [], "metadata:ganglion.unreadable_attachment": ""},
    ),
    Case(
        "bytes, as old SDKs send inputs",
        {"gen_ai.prompt": b'{"q": "\xc3\xa4"}', "gen_ai.completion": b'{"a": 1}'},
        {"inputs": {"q": "ä"}, "outputs": {"a": 1}},
    ),
    Case("bytes that are no text", {"gen_ai.prompt": b"\xff\xfe"}, {"inputs": {"input": "//4="}}),
    Case(
        "details of usage as Python writes them",
        {
            "langsmith.span.kind": "llm",
            "gen_ai.usage.input_tokens": 5,
            "gen_ai.usage.input_token_details": "{'cache_read': 3}",
            "gen_ai.usage.output_tokens": 2,
            "gen_ai.usage.output_token_details": "{'reasoning': 1}",
        },
        {
            "metadata:usage_metadata": {
                "input_tokens": 5,
                "output_tokens": 2,
                "total_tokens": 7,
                "input_token_details": {"cache_read": 3},
                "output_token_details": {"reasoning": 1},
            }
        },
    ),
    Case("a provider that the SDK does not know", {"gen_ai.system": "langchain"}, {"metadata:ls_provider": None}),
    Case(
        "the service's own names of model and provider win",
        {
            "langsmith.metadata.ls_provider": "mine",
            "langsmith.metadata.ls_model_name": "m",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt",
        },
        {"metadata:ls_provider": "mine", "metadata:ls_model_name": "m"},
    ),
    Case(
        "resource",
        {"b": 2},
        {"metadata:service.name": "s", "metadata:b": 2, "metadata:a": "span"},
        resource={"service.name": "s", "b": 1, "langsmith.internal_provider": True} | {"a": "span"},
    ),
    Case(
        "anything else",
        {"http.route": "/ask", "list": ["a", 1], "map": {"x": None}},
        {"is_llm": False, "metadata:http.route": "/ask", "metadata:list": ["a", 1], "metadata:map": {"x": None}},
    ),
    Case(
        "who",
        {"session.id": "s", "user.id": "u", "tenant.id": "t"},
        {"metadata:session_id": "s", "metadata:user_id": "u", "metadata:tenant_id": "t", "is_llm": False},
    ),
    Case(
        "the SDK's guess of the operation is left out",
        {"langsmith.span.kind": "retriever", "gen_ai.operation.name": "embeddings"},
        {"metadata:gen_ai.operation.name": None},
    ),
    Case(
        "details of usage that the service gave win",
        {
            "langsmith.usage_metadata": '{"input_tokens": 9, "input_token_details": {"cache_read": 3}}',
            "gen_ai.usage.cache_read.input_tokens": 5,
            "gen_ai.usage.details.input_audio_tokens": 1,
        },
        {
            "metadata:usage_metadata": {
                "input_tokens": 9,
                "total_tokens": 9,
                "input_token_details": {"cache_read": 3, "audio": 1},
            }
        },
    ),
    Case("metadata without a name", {"langsmith.metadata.": "x"}, {"metadata:langsmith.metadata.": "x"}),
    Case(
        "metadata one by one wins",
        {"langsmith.metadata.plan": "free", "metadata": '{"plan": "paid", "n": 1}'},
        {"metadata:plan": "free", "metadata:n": 1},
    ),
]
