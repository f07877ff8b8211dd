import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bcrypt
import grpc
import grpc.aio
import httpx
import pytest
from ganglion_collector.component import Authenticator, Signal
from ganglion_collector.errors import ConfigError, UnauthenticatedError
from ganglion_collector.extensions import basicauth, bearertokenauth
from google.rpc.status_pb2 import Status
from prometheus_client import REGISTRY
from pydantic import ValidationError

from tests.collector.otlp_requests import PAYLOADS, logs
from tests.collector.receiving import RunningReceiver, running_receiver

LOGS = PAYLOADS[Signal.LOGS]
HASHED = bcrypt.hashpw(b"hunter2", bcrypt.gensalt(4)).decode()
SHA1 = "{SHA}" + base64.b64encode(hashlib.sha1(b"hunter3", usedforsecurity=False).digest()).decode()
USERS = f"# people\nann:{HASHED}\nbob:{SHA1}\n\ncid:plain:text\n"


def bearer(**config: Any) -> Authenticator:
    return bearertokenauth.BearerTokenAuth(bearertokenauth.BearerTokenAuthConfig.model_validate(config))


def basic(**config: Any) -> basicauth.BasicAuth:
    return basicauth.BasicAuth(basicauth.BasicAuthConfig.model_validate({"htpasswd": config}))


def login(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("header", ["Bearer s3cret", "bearer s3cret"])
def test_a_known_token_is_let_in(header: str) -> None:
    assert bearer(token="s3cret").authenticate({"authorization": header}) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "s3cret"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer s3cre"},
        {"authorization": "Bearer s3cret "},
        {"authorization": "Basic s3cret"},
        {"authorization": "Boarer s3cret"},
        {"authorization": "Bearer café"},
        {"x-token": "Bearer s3cret"},
    ],
)
def test_anything_else_is_not_and_the_error_keeps_it_secret(headers: Mapping[str, str]) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        bearer(token="s3cret").authenticate(headers)
    assert "s3cre" not in str(caught.value)


def test_scheme_header_and_several_tokens_can_be_set() -> None:
    guard = bearer(scheme="", tokens=["one", "two"], header="X-Token")
    assert guard.authenticate({"x-token": "two"}) == {}
    assert guard.challenge == "Bearer"


def test_a_file_of_tokens_is_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "tokens"
    file.write_text("old\n")
    guard = bearer(filename=str(file))
    guard.authenticate({"authorization": "Bearer old"})
    (tmp_path / "next").write_text("new\nnewer\n")
    (tmp_path / "next").replace(file)
    guard.authenticate({"authorization": "Bearer newer"})
    with pytest.raises(UnauthenticatedError):
        guard.authenticate({"authorization": "Bearer old"})
    file.unlink()
    guard.authenticate({"authorization": "Bearer new"})
    assert caplog.text.count("the content read before stays in force") == 1


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"token": ""},
        {"token": "a", "filename": "b"},
        {"filename": "/nowhere/at/all"},
        {"token": "a", "header": "a b"},
    ],
)
def test_a_wrong_token_configuration_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        bearertokenauth.BearerTokenAuthConfig.model_validate(config)


def test_a_token_is_not_shown_by_its_configuration() -> None:
    assert "s3cret" not in repr(bearertokenauth.BearerTokenAuthConfig.model_validate({"token": "s3cret"}))


@pytest.mark.parametrize(("user", "password"), [("ann", "hunter2"), ("bob", "hunter3"), ("cid", "plain:text")])
def test_every_kind_of_entry_lets_its_user_in(user: str, password: str) -> None:
    assert basic(inline=USERS).authenticate(login(user, password)) == {"username": user}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        login("ann", "hunter3"),
        login("nobody", "hunter2"),
        login("", ""),
        login("ann", HASHED),
        login("bob", SHA1),
        login("ann", "x" * 100_000),
        login("ann", "hunter2\0"),
        {"authorization": "Basic !!!"},
        {"authorization": "Basic /w=="},
        {"authorization": "Basic YW5u"},
        {"authorization": "Bearer " + base64.b64encode(b"ann:hunter2").decode()},
    ],
)
def test_nobody_else_is_let_in(headers: Mapping[str, str]) -> None:
    guard = basic(inline=USERS)
    with pytest.raises(UnauthenticatedError):
        _ = guard.recognise(headers) or guard.authenticate(headers)


def test_a_verified_password_is_recognised_until_its_entry_changes(tmp_path: Path) -> None:
    file = tmp_path / "htpasswd"
    file.write_text(f"ann:{HASHED}\n")
    guard = basic(file=str(file))
    assert guard.recognise(login("ann", "hunter2")) is None
    guard.authenticate(login("ann", "hunter2"))
    assert guard.recognise(login("ann", "hunter2")) == {"username": "ann"}
    assert guard.recognise(login("ann", "hunter3")) is None
    file.write_text("ann:another\n")
    assert guard.recognise(login("ann", "hunter2")) is None


@pytest.mark.parametrize("inline", ["", "ann", ":x", "ann:", "ann:$apr1$salt$hash", "ann:{SSHA}x"])
def test_entries_that_cannot_be_checked_are_refused(inline: str) -> None:
    with pytest.raises(ValidationError) as caught:
        basic(inline=inline)
    assert "$apr1$" not in str(caught.value.errors(include_input=False))


AUTH = {"auth": {"authenticator": "bearertokenauth"}}


def count(transport: str, outcome: str) -> float:
    labels = {"receiver": "otlp", "transport": transport, "outcome": outcome}
    return REGISTRY.get_sample_value("otelcol_receiver_requests_total", labels) or 0.0


async def over_grpc(receiver: RunningReceiver, message: bytes, *metadata: tuple[str, str]) -> grpc.StatusCode:
    try:
        await receiver.export(Signal.LOGS, message, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def over_http(receiver: RunningReceiver, message: bytes, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        headers["content-type"] = "application/x-protobuf"
        return await client.post(f"{receiver.http}/v1/logs", content=message, headers=headers)


async def test_without_credentials_nothing_changes_and_it_is_counted() -> None:
    guards = {"bearertokenauth": bearer(token="s3cret")}
    before = {transport: count(transport, "unauthenticated") for transport in ("grpc", "http")}
    async with running_receiver(AUTH, AUTH, authenticators=guards) as receiver:
        assert await over_grpc(receiver, LOGS) is grpc.StatusCode.UNAUTHENTICATED
        response = await over_http(receiver, LOGS, authorization="Bearer wrong")
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert Status.FromString(response.content).message == "the authorization header holds no valid token"
    assert receiver.accepted == []
    for transport, number in before.items():
        assert count(transport, "unauthenticated") == number + 1


async def test_with_credentials_both_protocols_serve() -> None:
    guards = {"bearertokenauth": bearer(token="s3cret")}
    async with running_receiver(AUTH, AUTH, authenticators=guards) as receiver:
        assert await over_grpc(receiver, LOGS, ("authorization", "Bearer s3cret")) is grpc.StatusCode.OK
        assert (await over_http(receiver, LOGS, authorization="Bearer s3cret")).status_code == 200
    assert len(receiver.accepted) == 2


async def test_credentials_come_before_everything_else() -> None:
    guards = {"bearertokenauth": bearer(token="s3cret")}
    small = {"max_recv_msg_size_mib": 1} | AUTH
    async with running_receiver(small, AUTH, authenticators=guards) as receiver:
        garbage = logs(body="x" * 100_000).SerializeToString()[:-1]
        assert await over_grpc(receiver, garbage) is grpc.StatusCode.UNAUTHENTICATED
        assert (await over_http(receiver, os.urandom(5_000_000))).status_code == 401


async def test_the_user_goes_with_the_record() -> None:
    config = {"auth": {"authenticator": "basicauth/people"}}
    guards = {"basicauth/people": basic(inline=USERS)}
    async with running_receiver(config, config, authenticators=guards) as receiver:
        credentials = login("ann", "hunter2")
        for _ in range(2):
            assert await over_grpc(receiver, LOGS, *credentials.items()) is grpc.StatusCode.OK
            assert (await over_http(receiver, LOGS, **credentials)).status_code == 200
    assert [one.context for one in receiver.accepted] == [{"username": "ann"}] * 4


async def test_an_authenticator_that_does_not_exist_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="receivers::otlp::protocols::grpc::auth::authenticator = 'bearertokenauth'"):
        async with running_receiver(AUTH):
            pass
