import ssl
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
import trustme
from ganglion_collector.component import Signal
from ganglion_collector.receivers.otlp import OTLPConfig
from ganglion_collector.tls import TLSClientConfig, TLSServerConfig, channel_credentials, client_context
from pydantic import ValidationError

from tests.collector.otlp_requests import PAYLOADS
from tests.collector.receiving import METHODS, RunningReceiver, running_receiver

LOGS = PAYLOADS[Signal.LOGS]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority, a server's and a client's certificate, and a stranger's."""
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, issuer in (("server", authority), ("client", authority), ("stranger", stranger)):
        leaf = issuer.issue_cert("localhost", "127.0.0.1")
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
        (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    (folder / "broken.pem").write_text("not a certificate")
    return folder


def server(files: Path, **more: Any) -> dict[str, Any]:
    return {"tls": {"cert_file": str(files / "server.pem"), "key_file": str(files / "server.key"), **more}}


def client(files: Path, name: str = "") -> TLSClientConfig:
    own = {"cert_file": str(files / f"{name}.pem"), "key_file": str(files / f"{name}.key")} if name else {}
    return TLSClientConfig.model_validate({"ca_file": str(files / "ca.pem"), **own})


async def over_grpc(receiver: RunningReceiver, config: TLSClientConfig) -> None:
    async with grpc.aio.secure_channel(receiver.grpc, channel_credentials(config)) as channel:
        call: Any = channel.unary_unary(METHODS[Signal.LOGS])
        await call(LOGS, timeout=5)


async def over_http(receiver: RunningReceiver, config: TLSClientConfig) -> int:
    async with httpx.AsyncClient(verify=client_context(config)) as http:
        url = f"https://127.0.0.1:{receiver.port}/v1/logs"
        headers = {"content-type": "application/x-protobuf"}
        return (await http.post(url, content=LOGS, headers=headers)).status_code


async def test_both_protocols_serve_by_tls(files: Path) -> None:
    async with running_receiver(server(files), server(files)) as receiver:
        await over_grpc(receiver, client(files))
        assert await over_http(receiver, client(files)) == 200
    assert len(receiver.accepted) == 2


async def test_certificates_may_stand_in_the_configuration(files: Path) -> None:
    tls = {"cert_pem": (files / "server.pem").read_text(), "key_pem": (files / "server.key").read_text()}
    async with running_receiver({"tls": tls}, {"tls": tls}) as receiver:
        await over_grpc(receiver, client(files))
        assert await over_http(receiver, client(files)) == 200
    assert "PRIVATE" not in repr(TLSServerConfig.model_validate(tls))


async def test_a_client_must_show_a_certificate_of_the_authority(files: Path) -> None:
    mutual = server(files, client_ca_file=str(files / "ca.pem"))
    async with running_receiver(mutual, mutual) as receiver:
        await over_grpc(receiver, client(files, "client"))
        assert await over_http(receiver, client(files, "client")) == 200
        for name in ("", "stranger"):
            with pytest.raises(grpc.aio.AioRpcError):
                await over_grpc(receiver, client(files, name))
            with pytest.raises(httpx.TransportError):
                await over_http(receiver, client(files, name))
    assert len(receiver.accepted) == 2


async def test_a_plain_request_to_tls_changes_nothing(files: Path) -> None:
    async with running_receiver(server(files), server(files)) as receiver:
        with pytest.raises(grpc.aio.AioRpcError):
            await receiver.export(Signal.LOGS, LOGS)
        async with httpx.AsyncClient() as http:
            with pytest.raises(httpx.TransportError):
                await http.post(f"{receiver.http}/v1/logs", content=LOGS)
        await over_grpc(receiver, client(files))
    assert len(receiver.accepted) == 1


async def test_an_older_version_than_allowed_is_refused(files: Path) -> None:
    context = client_context(client(files))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    newest = server(files, min_version="1.3")
    async with running_receiver(http_config=newest) as receiver, httpx.AsyncClient(verify=context) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"https://127.0.0.1:{receiver.port}/")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cert_file": ""}, "a certificate needs its key"),
        ({"cert_file": "", "key_file": ""}, "a server needs cert_file and key_file"),
        ({"cert_file": "missing.pem"}, "cert_file = 'FOLDER/missing.pem' cannot be read: No such file or directory"),
        ({"cert_file": "broken.pem"}, "'FOLDER/broken.pem' and its key do not fit or are not PEM"),
        ({"key_file": "client.key"}, "and its key do not fit"),
        ({"client_ca_file": "broken.pem"}, "client_ca_file = 'FOLDER/broken.pem' is not a PEM certificate"),
        ({"cert_pem": "x"}, "both cert_file and cert_pem are set"),
    ],
)
def test_a_wrong_file_is_found_when_the_configuration_is_read(
    files: Path, changes: dict[str, str], reason: str
) -> None:
    tls = server(files)["tls"]
    for key, value in changes.items():
        tls[key] = str(files / value) if value and key != "cert_pem" else value
    with pytest.raises(ValidationError) as caught:
        TLSServerConfig.model_validate(tls)
    assert reason.replace("FOLDER", str(files)) in caught.value.errors()[0]["msg"]


def test_grpc_says_that_it_cannot_restrict_versions(files: Path) -> None:
    with pytest.raises(ValidationError, match=r"gRPC's library always offers TLS 1\.2 and 1\.3"):
        OTLPConfig.model_validate({"protocols": {"grpc": server(files, min_version="1.3")}})


def test_a_grpc_client_says_that_it_always_verifies() -> None:
    with pytest.raises(ValueError, match="insecure_skip_verify"):
        channel_credentials(TLSClientConfig(insecure_skip_verify=True))


async def test_an_http_client_can_believe_any_certificate(files: Path) -> None:
    async with running_receiver(http_config=server(files)) as receiver:
        assert await over_http(receiver, TLSClientConfig(insecure_skip_verify=True)) == 200
