"""Runs as requests: the SDK's parts byte for byte, JSON of whatever a span held, chunks, cuts, compression."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import zstandard
from ganglion_exporters._langsmith.encoding import (
    Compression,
    EncodingSettings,
    batch_body,
    chunks,
    compress,
    encode,
    encode_run,
)
from ganglion_exporters._langsmith.json_text import cut_to, dumps
from ganglion_exporters._langsmith.model import Attachment, Run
from hypothesis import given, settings
from hypothesis import strategies as st
from langsmith._internal._operations import (
    serialize_run_dict,
    serialized_run_operation_to_multipart_parts_and_context,
)
from requests_toolbelt.multipart.encoder import MultipartEncoder  # type: ignore[import-untyped]

from tests.exporters.langsmith_runs import START, make_run, make_trace
from tests.langsmith_bodies import Operation, batch_operations, multipart_operations

BOUNDARY = "0123456789abcdef0123456789abcdef"
SETTINGS = EncodingSettings(BOUNDARY)


def operations(*runs: Run) -> list[Operation]:
    return multipart_operations(encode(runs, BOUNDARY), f"multipart/form-data; boundary={BOUNDARY}")[0]


def sdk_body(run: Run) -> bytes:
    """Return what LangSmith's own SDK would send for `run`."""
    draft = run.draft

    def iso(nanoseconds: int) -> str:
        return datetime.fromtimestamp(nanoseconds // 1000 / 1e6, UTC).isoformat()

    fields: dict[str, Any] = {
        "id": run.id,
        "trace_id": run.trace_id,
        "dotted_order": run.dotted_order,
        "parent_run_id": run.parent_run_id,
        "name": draft.name,
        "run_type": draft.run_type,
        "start_time": iso(draft.start),
        "end_time": iso(draft.end),
        "session_name": "default",
        "tags": draft.tags,
        "inputs": draft.inputs,
        "outputs": draft.outputs,
        "extra": {"metadata": draft.metadata},
        "error": draft.error,
    }
    operation = serialize_run_dict("post", {name: value for name, value in fields.items() if value is not None})
    parts, _files = serialized_run_operation_to_multipart_parts_and_context(operation)
    body: bytes = MultipartEncoder(parts.parts, boundary=BOUNDARY).to_string()
    return body


def sorted_parts(body: bytes) -> list[bytes]:
    return sorted(body.removesuffix(f"--{BOUNDARY}--\r\n".encode()).split(f"--{BOUNDARY}\r\n".encode()))


@pytest.mark.parametrize("error", [None, "it went wrong"])
def test_the_parts_are_those_of_the_sdk_byte_for_byte(error: str | None) -> None:
    run = make_run(1, error=error, tags=["a", "b"], start=START, end=START + 1000)

    ours = encode([run], BOUNDARY)

    assert sorted_parts(ours) == sorted_parts(sdk_body(run))


def test_every_field_of_a_run_arrives() -> None:
    run = make_run(
        1,
        events=[{"name": "new_token", "time": "2026-11-20T15:00:00+00:00"}],
        invocation_params={"model": "m"},
        reference_example_id=str(make_run(3).id),
        project="other",
        tags=["t"],
    )

    (operation,) = operations(run)

    assert operation.event == "post"
    assert operation.run["events"] == run.draft.events
    assert operation.run["extra"] == {"metadata": {"number": 1}, "invocation_params": {"model": "m"}}
    assert operation.run["session_name"] == "other"
    assert operation.run["reference_example_id"] == run.draft.reference_example_id


def test_a_project_id_goes_before_its_name() -> None:
    (operation,) = operations(make_run(0, project="name", project_id="8f0a9bb0-94f2-4a9a-9b0e-6a9b8d5d3c11"))

    assert operation.run["session_id"] == "8f0a9bb0-94f2-4a9a-9b0e-6a9b8d5d3c11"
    assert "session_name" not in operation.run


def test_an_update_is_a_patch() -> None:
    (operation,) = operations(make_run(0, update=True))

    assert operation.event == "patch"
    assert operation.run["name"] == "run 0"


def test_an_end_before_the_start_is_the_start() -> None:
    (operation,) = operations(make_run(0, start=1_790_000_000_123_456_789, end=5))

    assert operation.run["end_time"] == operation.run["start_time"] == "2026-09-21T14:13:20.123456+00:00"


def test_a_run_without_a_name_has_one() -> None:
    assert operations(make_run(0, name=""))[0].run["name"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("a\ud800b", "a?b", id="lone surrogate"),
        pytest.param(2**70, str(2**70), id="integer beyond 64 bits"),
        pytest.param(float("nan"), None, id="not a number"),
        pytest.param([float("inf"), "\udfff"], [None, "?"], id="infinite"),
        pytest.param(b"\x00\xff", "AP8=", id="bytes"),
        pytest.param({1: "one", "\ud800": 2}, {"1": "one", "?": 2}, id="keys"),
    ],
)
def test_what_json_cannot_hold_is_mended(value: Any, expected: Any) -> None:
    assert json.loads(dumps({"value": value})) == {"value": expected}


def test_depth_has_an_end() -> None:
    deep: Any = "bottom"
    for _ in range(5000):
        deep = [deep]

    assert b"cut: more than" in dumps({"deep": deep})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)) | st.integers(), inner),
        max_leaves=20,
    )
)
@settings(max_examples=200)
def test_any_value_becomes_json(value: Any) -> None:
    orjson.loads(dumps(value))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"text": "x" * 50_000, "short": "kept"}, id="one long string"),
        pytest.param({"messages": [{"content": "y" * 3000} for _ in range(20)]}, id="many strings"),
        pytest.param({"numbers": list(range(20_000))}, id="no string at all"),
        pytest.param({"wide": {str(number): "\x00" * 200 for number in range(300)}}, id="escapes"),
    ],
)
def test_a_large_field_is_cut_and_says_so(value: dict[str, Any]) -> None:
    text, was_cut = cut_to(value, 20_000)

    assert was_cut
    assert len(text) <= 20_000
    assert b"cut:" in text
    assert isinstance(orjson.loads(text), dict)


def test_a_cut_leaves_short_strings_and_the_shape() -> None:
    text, _ = cut_to({"messages": [{"role": "user", "content": "x" * 2_000_000}]}, 100_000)

    (message,) = orjson.loads(text)["messages"]
    assert message["role"] == "user"
    assert message["content"].startswith("xxx")
    assert message["content"].endswith("(cut: 2000000 characters)")


def test_a_run_tells_what_was_cut() -> None:
    encoded = encode_run(make_run(0, outputs={"text": "x" * 5000}), EncodingSettings(BOUNDARY, largest_field=2000))

    assert encoded.cut == ("outputs",)
    assert orjson.loads(encoded.fields["extra"])["metadata"]["ganglion.cut_fields"] == "outputs"


def test_attachments_are_parts_with_their_type() -> None:
    attachments = [
        Attachment("a.png", "image/png", b"\x89PNG\r\n--x"),
        Attachment('b"\r\n', "text/plain; charset=utf-8", b"1"),
        Attachment("b___", "not a type\r\n", b"2"),
    ]

    (operation,) = operations(make_run(0, attachments=attachments))

    assert [(file.name, file.mime_type, file.content) for file in operation.files] == [
        ("a_png", "image/png", b"\x89PNG\r\n--x"),
        ("b___", "text/plain; charset=utf-8", b"1"),
        ("b___-2", "application/octet-stream", b"2"),
    ]


def test_the_batch_form_has_the_same_fields() -> None:
    runs = [make_run(0), make_run(1, error="x"), make_run(0, trace=2, update=True)]

    batch = batch_operations(batch_body([encode_run(run, SETTINGS) for run in runs]))

    assert [(one.event, one.run) for one in batch] == [(one.event, one.run) for one in operations(*runs)]


def test_chunks_keep_a_trace_together_where_it_fits() -> None:
    runs = [encode_run(run, SETTINGS) for trace in range(1, 6) for run in make_trace(4, trace)]

    made = list(chunks(runs, max_runs=10, max_bytes=1 << 20))

    assert [len(chunk) for chunk in made] == [8, 8, 4]
    assert [run for chunk in made for run in chunk] == runs


def test_a_long_trace_goes_in_order_over_several_chunks() -> None:
    runs = [encode_run(run, SETTINGS) for run in make_trace(250)]

    made = list(chunks(runs, max_runs=100, max_bytes=1 << 20))

    assert [len(chunk) for chunk in made] == [100, 100, 50]
    assert [run.run.draft.name for chunk in made for run in chunk] == [f"run {number}" for number in range(250)]


def test_chunks_are_bounded_in_bytes_and_a_larger_run_goes_alone() -> None:
    runs = [encode_run(make_run(number, inputs={"text": "x" * 1000}), SETTINGS) for number in range(6)]
    runs.insert(3, encode_run(make_run(9, inputs={"text": "x" * 9000}), SETTINGS))

    made = list(chunks(runs, max_runs=100, max_bytes=2 * runs[0].size + 500))

    assert [len(chunk) for chunk in made] == [2, 1, 1, 2, 1]


@pytest.mark.parametrize("how", ["zstd", "gzip", "none"])
def test_bodies_are_compressed_as_asked(how: Compression) -> None:
    body = encode(make_trace(20), BOUNDARY)

    sent = compress(body, how)

    undo: dict[Compression, Callable[[bytes], bytes]] = {
        "zstd": zstandard.decompress,
        "gzip": gzip.decompress,
        "none": lambda data: data,
    }
    assert undo[how](sent) == body
    assert how == "none" or len(sent) < len(body) / 5
