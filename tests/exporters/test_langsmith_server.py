"""The stand-in for LangSmith, asked by langsmith's own client and by hand."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import httpx
import langsmith
import pytest
import zstandard
from langsmith import traceable, tracing_context, uuid7_from_datetime
from langsmith.schemas import Attachment
from langsmith.utils import LangSmithAuthError, LangSmithConflictError, LangSmithConnectionError, LangSmithError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from urllib3 import Retry

from tests.fix_collector import eventually
from tests.langsmith_server import LangSmithServer

BOUNDARY = "parted"
TENANT = UUID("7e9a0000-0000-4000-8000-0000000000ff")

Change = Callable[[dict[str, Any]], Mapping[str, Any]]


@pytest.fixture
def asked(langsmith_server: LangSmithServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=langsmith_server.url, headers={"X-Api-Key": "key"}, timeout=5, verify=False) as client:
        yield client


@pytest.fixture
def sdk(langsmith_server: LangSmithServer) -> Iterator[langsmith.Client]:
    """The client that answers what the server answers: no background, no retries."""
    client = _sdk(langsmith_server, auto_batch_tracing=False)
    yield client
    client.cleanup()


def _sdk(server: LangSmithServer, **settings: Any) -> langsmith.Client:
    return langsmith.Client(
        api_url=server.url, api_key="key", retry_config=Retry(total=0), omit_traced_runtime_info=True, **settings
    )


def made(name: str = "run", parent: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a valid run, below `parent` if given."""
    start = datetime.now(UTC)
    run_id = str(uuid4())
    order = f"{start:%Y%m%dT%H%M%S%f}Z{run_id}"
    run: dict[str, Any] = {
        "id": run_id,
        "trace_id": parent["trace_id"] if parent else run_id,
        "dotted_order": f"{parent['dotted_order']}.{order}" if parent else order,
        "name": name,
        "run_type": "chain",
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(seconds=1)).isoformat(),
        **fields,
    }
    return run | {"parent_run_id": parent["id"]} if parent else run


def part(name: str, body: bytes, headers: str = "Content-Type: application/json\r\nContent-Length: {size}") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n{headers.format(size=len(body))}\r\n\r\n'
    return head.encode() + body + b"\r\n"


def post(asked: httpx.Client, *parts: bytes, encoding: str = "", end: bytes = b"--parted--\r\n") -> httpx.Response:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = b"".join(parts) + end
    if encoding:
        headers["Content-Encoding"] = encoding
        body = gzip.compress(body) if encoding == "gzip" else zstandard.compress(body)
    return asked.post("/runs/multipart", content=body, headers=headers)


def whole(run: Mapping[str, Any], event: str = "post") -> bytes:
    return part(f"{event}.{run['id']}", json.dumps(run).encode())


def traced(client: langsmith.Client) -> None:
    """Run a small traced program, which uploads in the background."""

    @traceable(run_type="llm", tags=["fast"], metadata={"ls_provider": "openai"})
    def chat(messages: list[dict[str, str]]) -> dict[str, Any]:
        return {"role": "assistant", "content": messages[0]["content"].upper()}

    @traceable(run_type="tool")
    def fail() -> None:
        raise ValueError("boom")

    @traceable
    def root(question: str) -> Any:
        with pytest.raises(ValueError, match="boom"):
            fail()
        return chat([{"role": "user", "content": question}])

    with tracing_context(enabled=True, client=client, project_name="demo"):
        root("why?")
    client.flush()
    client.cleanup()


@pytest.mark.parametrize(
    ("zstd", "multipart", "path", "encoding"),
    [
        pytest.param(True, True, "/runs/multipart", "zstd", id="compressed"),
        pytest.param(False, True, "/runs/multipart", None, id="plain"),
        pytest.param(False, False, "/runs/batch", None, id="old server"),
    ],
)
def test_traceable_runs_arrive_complete(
    langsmith_server: LangSmithServer, zstd: bool, multipart: bool, path: str, encoding: str | None
) -> None:
    server = langsmith_server
    server.rules.zstd, server.rules.multipart = zstd, multipart
    client = _sdk(server)
    eventually(lambda: (client.compressed_traces is not None) == zstd and bool(server.requests))
    traced(client)
    sent = [request for request in server.requests if request.method == "POST"]
    assert {(request.path, request.headers.get("content-encoding")) for request in sent} == {(path, encoding)}
    (tree,) = server.trees()
    assert tree.outline() == {"root": ["fail", "chat"]}
    assert {run.project for run in tree.walk()} == {"demo"}
    assert all(run.end for run in tree.walk())
    chat = server.run("chat")
    assert (chat.run_type, chat.tags, chat.metadata["ls_provider"]) == ("llm", ["fast"], "openai")
    assert chat.inputs == {"messages": [{"role": "user", "content": "why?"}]}
    assert chat.outputs["content"] == "WHY?"
    assert "boom" in (server.run("fail").error or "")


def test_single_runs_are_created_and_updated(langsmith_server: LangSmithServer, sdk: langsmith.Client) -> None:
    start = datetime.now(UTC)
    root, child = uuid7_from_datetime(start), uuid7_from_datetime(start)
    sdk.create_run("root", {"question": "why?"}, "chain", id=root, start_time=start)
    sdk.create_run("child", {}, "tool", id=child, parent_run_id=root, start_time=start)
    sdk.update_run(child, outputs={"found": 3}, end_time=start + timedelta(seconds=5))
    sdk.update_run(root, outputs={"answer": 42}, end_time=start + timedelta(seconds=9))
    paths = [(request.method, request.path) for request in langsmith_server.requests]
    assert paths == [("POST", "/runs")] * 2 + [("PATCH", f"/runs/{child}"), ("PATCH", f"/runs/{root}")]
    assert langsmith_server.tree(root).outline() == {"root": ["child"]}
    kept = langsmith_server.run("root")
    assert (kept.inputs, kept.outputs, kept.operations) == (
        {"question": "why?"},
        {"answer": 42},
        ("post", "patch"),
    )


def test_update_of_an_unknown_run_is_refused(sdk: langsmith.Client) -> None:
    with pytest.raises(LangSmithError, match="Not found"):
        sdk.update_run(uuid4(), outputs={})


def test_attachments_arrive(langsmith_server: LangSmithServer) -> None:
    client = _sdk(langsmith_server, auto_batch_tracing=False)
    run = made(attachments={"picture": Attachment("image/png", b"\x89PNG\r\n--parted\r\n")})
    client.multipart_ingest(create=[run])
    client.cleanup()
    (file,) = langsmith_server.run("run").files
    assert (file.name, file.mime_type, file.content) == ("picture", "image/png", b"\x89PNG\r\n--parted\r\n")


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_parts_of_a_run_are_put_together(langsmith_server: LangSmithServer, asked: httpx.Client, encoding: str) -> None:
    run = made()
    answer = post(
        asked,
        whole(run),
        part(f"post.{run['id']}.inputs", b'{"a":1}'),
        part(f"post.{run['id']}.error", b'"boom"'),
        part("feedback.1", json.dumps({"trace_id": run["id"]}).encode()),
        encoding=encoding,
    )
    assert answer.status_code == 202
    kept = langsmith_server.run("run")
    assert (kept.inputs, kept.error, kept.project) == ({"a": 1}, "boom", "default")
    assert langsmith_server.workspace().feedback == [{"trace_id": run["id"]}]


def test_patch_stays_above_the_post_that_it_overtook(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    run = made("synthetic", error="unknown")
    assert post(asked, whole(run | {"name": "real", "outputs": {"b": 2}, "error": None}, "patch")).status_code == 202
    assert post(asked, whole(run | {"inputs": {"a": 1}})).status_code == 202
    kept = langsmith_server.run("real")
    assert (kept.inputs, kept.outputs, kept.error) == ({"a": 1}, {"b": 2}, "unknown")


def _root(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "parent_run_id": None}


ORDERS: dict[str, tuple[Change, str]] = {
    "root of two parts": (_root, "dotted_order must contain a single part for root runs for run_id:"),
    "child of one part": (
        lambda run: {**run, "dotted_order": run["dotted_order"].split(".")[1]},
        "dotted_order must contain at least two parts for child runs for run_id:",
    ),
    "other trace": (
        lambda run: {**run, "trace_id": run["id"]},
        "invalid 'dotted_order': trace_id",
    ),
    "other run": (lambda run: {**run, "dotted_order": run["dotted_order"][:-36] + run["trace_id"]}, "last part"),
    "other parent": (lambda run: {**run, "parent_run_id": run["id"]}, "second-last part"),
    "before its parent": (
        lambda run: {**run, "dotted_order": run["dotted_order"].replace(".2", ".1")},
        "earlier than parent timestamp",
    ),
    "digits": (
        lambda run: {**run, "dotted_order": run["dotted_order"].replace("Z", "000Z", 1)},
        "invalid timestamp in dotted_order",
    ),
}


@pytest.mark.parametrize("case", ORDERS)
def test_disorder_rejects_the_whole_request(langsmith_server: LangSmithServer, asked: httpx.Client, case: str) -> None:
    change, text = ORDERS[case]
    root = made("root")
    wrong = change(made("wrong", root))
    answer = post(asked, whole(root), whole(wrong), whole(made("other")))
    assert answer.status_code == 400
    assert text in answer.json()["error"]
    assert f"parent_run_id:{wrong.get('parent_run_id')}" in answer.json()["error"]
    assert not langsmith_server.runs


def test_root_whose_id_is_not_the_traces_is_rejected(asked: httpx.Client) -> None:
    answer = post(asked, whole(made() | {"trace_id": str(uuid4())}))
    assert answer.status_code == 400
    assert "does not match first part of dotted_order" in answer.text


WRONG_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": None}, "name: is required"),
    "no start": ({"start_time": None}, "start_time: is required"),
    "no order": ({"dotted_order": None}, "dotted_order: is required"),
    "run type": ({"run_type": "agent"}, "run_type: must be one of"),
    "id": ({"trace_id": "12"}, "trace_id: Must validate one and only one schema (oneOf)"),
    "project id": ({"session_id": "conversation-1"}, "session_id: Must validate"),
    "time": ({"end_time": 1_700_000_000}, "end_time must be an ISO 8601 timestamp"),
    "list as inputs": ({"inputs": []}, "inputs: Invalid type. Expected: object"),
    "text as extra": ({"extra": "x"}, "extra: Invalid type. Expected: object"),
    "object as error": ({"error": {"message": "x"}}, "error: Invalid type. Expected: string"),
    "tags": ({"tags": "a, b"}, "tags: Invalid type"),
    "events": ({"events": ["new_token"]}, "events: Invalid type"),
    "big number": ({"outputs": {"n": [2**64]}}, "int too big to convert"),
}


@pytest.mark.parametrize("path", ["multipart", "batch"])
@pytest.mark.parametrize("case", WRONG_FIELDS)
def test_wrong_field_rejects_the_whole_request(
    langsmith_server: LangSmithServer, asked: httpx.Client, case: str, path: str
) -> None:
    fields, text = WRONG_FIELDS[case]
    runs = [made(), made() | fields]
    answer = (
        post(asked, *map(whole, runs))
        if path == "multipart"
        else asked.post("/runs/batch", json={"post": runs, "patch": []})
    )
    assert answer.status_code == 422
    assert text in answer.json()["error"]
    assert not langsmith_server.runs


RUN = made()
WRONG_PARTS: dict[str, tuple[list[bytes], int, str]] = {
    "no type": ([part(f"post.{RUN['id']}", b"{}", "Content-Length: 2")], 422, "needs Content-Type and a length"),
    "no length": ([part("post.1", b"{}", "Content-Type: application/json")], 422, "needs Content-Type and a length"),
    "wrong length": (
        [part("post.1", b"{}", "Content-Type: application/json; length=3")],
        422,
        "has 2 bytes, not 3",
    ),
    "encoding": (
        [part("post.1", b"{}", "Content-Type: application/json; length=2\r\nContent-Encoding: gzip")],
        422,
        "must not have a Content-Encoding",
    ),
    "name": ([part("put.1", b"{}")], 422, "unknown part name"),
    "field alone": ([part(f"post.{RUN['id']}.inputs", b"{}")], 422, "without or before"),
    "other id": ([part(f"post.{uuid4()}", json.dumps(RUN).encode())], 422, "its id is another"),
    "twice": ([whole(RUN), whole(RUN)], 422, "comes twice"),
    "not JSON": ([part(f"post.{RUN['id']}", b'{"a":NaN}')], 422, "invalid JSON"),
    "lone attachment": ([part("attachment.1.a", b"x")], 422, "which is not in the request"),
    "no boundary": ([b"--other--\r\n"], 400, "malformed multipart body"),
}


@pytest.mark.parametrize("case", WRONG_PARTS)
def test_wrong_part_rejects_the_whole_request(
    langsmith_server: LangSmithServer, asked: httpx.Client, case: str
) -> None:
    parts, status, text = WRONG_PARTS[case]
    answer = post(asked, *parts)
    assert (answer.status_code, text in answer.json()["error"]) == (status, True), answer.text
    assert not langsmith_server.runs


def test_truncated_body_is_rejected(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    assert post(asked, whole(made()), end=b"").status_code == 400
    assert not langsmith_server.runs


def test_length_may_be_a_parameter_of_the_type(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    run = made()
    body = json.dumps(run).encode()
    assert post(asked, part(f"post.{run['id']}", body, "Content-Type: application/json; length={size}")).is_success
    assert langsmith_server.run("run")


@pytest.mark.parametrize("ahead", [25 * 3600, -25 * 3600])
def test_one_run_outside_the_window_rejects_all(
    langsmith_server: LangSmithServer, asked: httpx.Client, ahead: float
) -> None:
    old = made("old")
    langsmith_server.clock.advance(ahead)
    start = langsmith_server.clock.now()
    run_id = str(uuid4())
    new = made(id=run_id, trace_id=run_id, start_time=start.isoformat(), end_time=None)
    new["dotted_order"] = f"{start:%Y%m%dT%H%M%S%f}Z{run_id}"
    refused = post(asked, whole(new), whole(old))
    assert refused.status_code == 400
    assert "24-hour window" in refused.text
    assert not langsmith_server.runs
    langsmith_server.rules.window = None
    assert post(asked, whole(new), whole(old)).is_success


def test_six_hours_are_inside_the_window(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    run = made()
    langsmith_server.clock.advance(6 * 3600)
    assert post(asked, whole(run)).is_success


def test_second_time_is_a_conflict_and_changes_nothing(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    run = made(outputs={"a": 1})
    assert post(asked, whole(run)).status_code == 202
    again = post(asked, whole(run | {"outputs": {"a": 2}}))
    assert (again.status_code, again.json()) == (
        409,
        {"error": "Conflict: payload already received: payloads already received"},
    )
    assert langsmith_server.run("run").outputs == {"a": 1}


@pytest.mark.parametrize(("mixed", "kept"), [("store_rest", 2), ("store_none", 1)])
def test_new_runs_beside_known_ones(
    langsmith_server: LangSmithServer, asked: httpx.Client, mixed: Any, kept: int
) -> None:
    langsmith_server.rules.mixed = mixed
    known = made()
    post(asked, whole(known))
    assert post(asked, whole(known), whole(made())).status_code == 409
    assert len(langsmith_server.runs) == kept


def test_sdk_meets_the_conflict(sdk: langsmith.Client) -> None:
    run = made()
    sdk.request_with_retries("POST", "/runs", request_kwargs={"json": run})
    with pytest.raises(LangSmithConflictError, match="payloads already received"):
        sdk.request_with_retries("POST", "/runs", request_kwargs={"json": run})


@pytest.mark.parametrize("encoding", ["", "zstd", "gzip"])
def test_too_many_bytes_are_refused(langsmith_server: LangSmithServer, asked: httpx.Client, encoding: str) -> None:
    langsmith_server.rules.max_bytes = 2000
    run = made(outputs={"text": "x" * 3000})
    assert post(asked, whole(run), encoding=encoding).status_code == 413
    assert not langsmith_server.runs


def test_too_many_runs_are_refused_where_told(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    langsmith_server.rules.max_runs = 1
    assert post(asked, whole(made()), whole(made())).is_success
    langsmith_server.rules.enforce_max_runs = True
    assert post(asked, whole(made()), whole(made())).status_code == 422


def test_zstd_is_refused_where_info_does_not_offer_it(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    langsmith_server.rules.zstd = False
    assert asked.get("/info").json()["instance_flags"] == {"zstd_compression_enabled": False}
    assert post(asked, whole(made()), encoding="zstd").status_code == 415


def test_requests_are_limited_by_the_clock(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    langsmith_server.rules.requests_per_10_s = 2
    assert [post(asked, whole(made())).status_code for _ in range(3)] == [202, 202, 429]
    langsmith_server.clock.advance(10)
    assert post(asked, whole(made())).status_code == 202


def test_keys_open_their_workspace_only(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    langsmith_server.rules.keys = {"key": TENANT, "organization": None}
    run = made()
    assert post(asked, whole(run)).is_success
    assert langsmith_server.tree(run["id"], TENANT).run.name == "run"
    asked.headers["X-Api-Key"] = "other"
    assert post(asked, whole(made())).json() == {"error": "Forbidden"}
    asked.headers["X-Api-Key"] = "organization"
    assert post(asked, whole(made())).json() == {"error": "org_scoped_key_requires_workspace"}
    asked.headers["X-Tenant-Id"] = str(uuid4())
    assert post(asked, whole(run)).is_success, "the same run in another workspace is another run"
    del asked.headers["X-Api-Key"]
    assert post(asked, whole(made())).status_code == 401


def test_projects_are_made_by_name_and_known_by_id(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    post(asked, whole(made(session_name="demo")))
    (project,) = asked.get("/sessions", params={"name": "demo", "limit": 1}).json()
    assert (project["name"], UUID(project["tenant_id"])) == ("demo", langsmith_server.workspace().tenant)
    assert post(asked, whole(made("by id", session_id=project["id"]))).is_success
    assert langsmith_server.run("by id").project == "demo"
    assert post(asked, whole(made(session_id=str(uuid4())))).status_code == 404
    assert len(asked.get("/api/v1/sessions").json()) == 2


def test_otlp_is_kept_with_its_project(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    sent = ExportTraceServiceRequest()
    sent.resource_spans.add().scope_spans.add().spans.add(name="chat")
    headers = {"Content-Type": "application/x-protobuf", "Langsmith-Project": "demo", "Content-Encoding": "gzip"}
    body = gzip.compress(sent.SerializeToString())
    assert asked.post("/otel/v1/traces", content=body, headers=headers).status_code == 200
    assert asked.post("/otel/v1/traces", content=body[:-9], headers=headers).status_code == 400
    assert [(one.project, one.request) for one in langsmith_server.otlp] == [("demo", sent)]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504])
def test_fails_as_often_as_told(langsmith_server: LangSmithServer, asked: httpx.Client, status: int) -> None:
    langsmith_server.fail_with(status, times=2)
    run = made()
    assert [post(asked, whole(run)).status_code for _ in range(3)] == [status, status, 202]
    assert [request.status for request in langsmith_server.requests] == [status, status, 202]
    assert len(langsmith_server.runs) == 1


def test_failure_may_name_a_path_a_text_and_a_delay(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    langsmith_server.fail_with(429, path="/info", retry_after=7, text="slow down")
    answer = asked.get("/info")
    assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (429, "slow down", "7")
    assert post(asked, whole(made())).is_success
    langsmith_server.recover()
    assert asked.get("/info").is_success


def test_failure_may_come_after_storing(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    langsmith_server.fail_with(502, times=1, store=True)
    run = made()
    assert [post(asked, whole(run)).status_code for _ in range(2)] == [502, 409]
    assert langsmith_server.run("run")


@pytest.mark.parametrize("store", [True, False])
def test_line_breaks_instead_of_an_answer(langsmith_server: LangSmithServer, asked: httpx.Client, store: bool) -> None:
    langsmith_server.drop(times=1, store=store)
    run = made()
    with pytest.raises(httpx.RemoteProtocolError):
        post(asked, whole(run))
    assert len(langsmith_server.runs) == store
    assert post(asked, whole(run)).status_code == (409 if store else 202)
    assert langsmith_server.requests[0].status == 0


def test_hangs_until_it_recovers(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    langsmith_server.hang()
    with pytest.raises(httpx.ReadTimeout):
        asked.post("/runs/batch", json={}, timeout=0.2)
    failed = list[Exception]()

    def ask() -> None:
        try:
            post(asked, whole(made()))
        except httpx.TransportError as error:
            failed.append(error)

    asking = Thread(target=ask)
    asking.start()
    langsmith_server.wait_for_requests(2)
    langsmith_server.recover()
    asking.join(5)
    assert isinstance(failed[0], httpx.RemoteProtocolError)
    assert post(asked, whole(made())).is_success


def test_slow_answer_is_right(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    langsmith_server.slow(0.2)
    answer = post(asked, whole(made()))
    assert (answer.status_code, answer.elapsed.total_seconds() >= 0.2) == (202, True)


def test_refuses_and_comes_back_with_what_it_had(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    assert post(asked, whole(made())).is_success
    langsmith_server.refuse()
    with pytest.raises(httpx.TransportError):
        post(asked, whole(made()))
    with pytest.raises(httpx.ConnectError):
        post(asked, whole(made()))
    langsmith_server.recover()
    assert post(asked, whole(made())).is_success
    assert len(langsmith_server.runs) == 2


def test_sdk_meets_the_failures(langsmith_server: LangSmithServer, sdk: langsmith.Client) -> None:
    langsmith_server.fail_with(401, times=1)
    with pytest.raises(LangSmithAuthError):
        sdk.create_run("run", {}, "chain")
    langsmith_server.refuse()
    with pytest.raises(LangSmithConnectionError):
        sdk.create_run("run", {}, "chain")


BROKEN: dict[str, tuple[Change, str]] = {
    "no root": (lambda run: {**run, "id": str(uuid4())}, "0 roots"),
    "ends before it starts": (lambda run: {**run, "end_time": "2020-01-01T00:00:00Z"}, "ends before it starts"),
    "v7 id of another time": (
        lambda run: {**run, "id": str(UUID(int=UUID(run["id"]).int & ~(0xF << 76) | 0x7 << 76))},
        "another time in its id",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_tree_asserts_what_langsmith_would_not_show(
    langsmith_server: LangSmithServer, asked: httpx.Client, case: str
) -> None:
    change, text = BROKEN[case]
    root = made("root")
    child = dict(change(made("child", root)))
    child["dotted_order"] = child["dotted_order"][:-36] + child["id"]
    assert post(asked, *([] if case == "no root" else [whole(root)]), whole(child)).is_success
    with pytest.raises(AssertionError, match=text):
        langsmith_server.tree(root["id"])


def test_chunked_bodies_are_read(langsmith_server: LangSmithServer, asked: httpx.Client) -> None:
    run = made()
    body = json.dumps({"post": [run]}).encode()
    answer = asked.post("/runs/batch", content=iter([body[:10], body[10:]]))
    assert answer.request.headers["Transfer-Encoding"] == "chunked"
    assert langsmith_server.run("run").id == UUID(run["id"])
