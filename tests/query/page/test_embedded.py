"""`<TraceTimeline>` in a React application of somebody else: type-checked, bundled by Vite, shown in a real browser."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from tests.fix_browser import Visitor
from tests.fix_page import PAGE, Stack
from tests.query.page.world import SLOW

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

_SOURCES = Path(__file__).parent / "application"
_WEB = PAGE.parents[1] / "web"


class _Server(SimpleHTTPRequestHandler):
    """Serves the application, and to it the traces that its user may see."""

    def __init__(self, *arguments: object, api: str, **options: object) -> None:
        self._api = api
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if not self.path.startswith("/my/trace/"):
            super().do_GET()
            return
        url = f"{self._api}/api/v1/traces/{self.path.removeprefix('/my/trace/')}"
        answer = httpx.get(url, trust_env=False, timeout=15)
        self.send_response(HTTPStatus(answer.status_code))
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path, api: str) -> Iterator[str]:
    handler = partial(_Server, api=api, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def npm_exec(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, str(_WEB / "build.py"), "--", "exec", "--", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built application."""
    folder = tmp_path_factory.mktemp("application")
    shutil.copytree(_SOURCES, folder, dirs_exist_ok=True)
    shutil.copytree(PAGE / "embed", folder / "ganglion")
    (folder / "node_modules").symlink_to(_WEB / "node_modules")
    npm_exec("tsc", "--project", str(folder))
    npm_exec("vite", "build", str(folder), "--logLevel", "warn")
    return folder / "dist"


async def test_an_application_shows_its_users_their_request(visitor: Visitor, stack: Stack, application: Path) -> None:
    with served(application, stack.url) as url:
        page = await visitor.open(f"{url}/?trace={SLOW}", width=1000)
        chosen = page.get_by_role("status", name="Chosen")
        await expect(chosen).to_have_text("nothing")
        await page.get_by_role("treeitem").filter(has_text="chat gpt-4.1-mini").click()
        await expect(chosen).to_have_text("chat gpt-4.1-mini took 6900 ms")


async def test_it_waits_for_a_trace_that_is_not_stored_yet(visitor: Visitor, stack: Stack, application: Path) -> None:
    visitor.expect("404")
    with served(application, stack.url) as url:
        page = await visitor.open(f"{url}/?trace={'e' * 32}")
        await expect(page.get_by_text("Waiting for the trace")).to_be_visible()
        # It asks every second, as long as it is there: the server may not go before it.
        await page.close()
