"""Where alerts arrive in tests: a webhook that stands for Slack's, a mailbox behind SMTP with TLS and a password."""

import asyncio
import email
import email.policy
import json
import shutil
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import trustme
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.programs import free_port

__all__ = ["SHIPPED", "Received", "configured", "receiving", "served"]

SHIPPED = Path(__file__).resolve().parents[2] / "deploy"
PASSWORD = "correct horse"


@dataclass
class Received:
    """What arrived, in order: Slack's messages and e-mails."""

    slack_url: str
    smarthost: str
    authority: trustme.CA
    slack: list[dict[str, Any]] = field(default_factory=list)
    mail: list[EmailMessage] = field(default_factory=list)

    def slack_texts(self) -> list[str]:
        return [f"{one['title']}\n{one['text']}" for message in self.slack for one in message["attachments"]]

    def mail_texts(self) -> list[str]:
        return [f"{message['Subject']}\n{_part(message, 'plain')}" for message in self.mail]

    def html(self) -> list[str]:
        return [_part(message, "html") for message in self.mail]


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


class _Mailbox:
    def __init__(self, mail: list[EmailMessage]) -> None:
        self._mail = mail

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self._mail.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"

    @staticmethod
    def knows(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, who: Any) -> AuthResult:
        known = isinstance(who, LoginPassword) and who.password == PASSWORD.encode()
        return AuthResult(success=known, handled=False)


@contextmanager
def served(answer: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve HTTP on a free port; the URL of the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _webhook(messages: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.append(json.loads(body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    return Webhook


class _MailServer(Controller):
    """Also closes the connections that its clients left open: the garbage collector would find them in another test."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._connections: list[SMTP] = []

    def factory(self) -> SMTP:
        self._connections.append(SMTP(self.handler, **self.SMTP_kwargs))
        return self._connections[-1]

    def stop(self, no_assert: bool = False) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result()
        super().stop(no_assert)

    async def _hang_up(self) -> None:
        assert self.server is not None
        self.server.close()
        for connection in self._connections:
            if connection.transport is not None:
                cast("asyncio.Transport", connection.transport).abort()
        for _ in range(3):  # of the loop, in which socket, TLS and SMTP end
            await asyncio.sleep(0)


@contextmanager
def receiving() -> Iterator[Received]:
    """Take Slack's messages and e-mails."""
    slack: list[dict[str, Any]] = []
    mail: list[EmailMessage] = []
    authority = trustme.CA()
    box = _MailServer(
        _Mailbox(mail),
        "127.0.0.1",
        free_port(),
        tls_context=_server_context(authority),
        require_starttls=True,
        authenticator=_Mailbox.knows,
        auth_required=True,
        auth_exclude_mechanism=["LOGIN"],
    )
    with served(_webhook(slack)) as url:
        box.start()
        try:
            yield Received(url, f"127.0.0.1:{box.port}", authority, slack, mail)
        finally:
            box.stop()


def _server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def configured(received: Received, folder: Path) -> Path:
    """Write a copy of what is shipped for Alertmanager that reaches the receivers, at once; the configuration's path.

    Only addresses, credentials and waiting times are others.
    """
    shutil.copytree(SHIPPED / "alertmanager", folder)
    path = folder / "alertmanager.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    secrets = {name: str(folder / "secrets" / name) for name in ("slack_api_url", "smtp_password")}
    config["global"] |= {
        "smtp_smarthost": received.smarthost,
        "slack_api_url_file": secrets["slack_api_url"],
        "smtp_auth_password_file": secrets["smtp_password"],
    }
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "300ms", "group_interval": "300ms"}
    received.authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    for receiver in config["receivers"]:
        receiver["email_configs"][0]["tls_config"] = {"ca_file": str(folder / "authority.pem")}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "secrets").mkdir()
    (folder / "secrets/slack_api_url").write_text(received.slack_url, encoding="utf-8")
    (folder / "secrets/smtp_password").write_text(PASSWORD, encoding="utf-8")
    return path
