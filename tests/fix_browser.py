"""A real Chromium, without a screen, that fails a test for whatever goes wrong in it unseen.

`visitor` opens pages, each with a profile of its own. At the end of the test nothing may have happened that a person
would not have wanted: an error on the console or in a script, a request that failed, one to another server, a breach of
the content security policy. What a test causes on purpose it names with `visitor.expect`.
"""

import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright, expect

__all__ = ["Visitor", "browser_program", "running_browser"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_PATIENCE_MS = 10_000
expect.set_options(timeout=15_000)
_ABORTED = "net::ERR_ABORTED"
"""What a page does to its own requests when it needs their answers no longer."""
_REPORT_BREACHES = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy breached: ${event.violatedDirective} by ${event.blockedURI} ${event.sample}`))"""


def browser_program() -> str:
    """Return the path of the machine's Chromium; fail saying what to install."""
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    return pytest.fail("this test needs Chromium: apt-get install chromium", pytrace=False)


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else _FLAGS
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=browser_program(), args=flags)
        yield found
        await found.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as running:
        yield running


@dataclass
class Visitor:
    """Who looks at pages in one test."""

    browser: Browser
    problems: list[str] = field(default_factory=list[str])
    _expected: list[re.Pattern[str]] = field(default_factory=list[re.Pattern[str]])
    _contexts: list[BrowserContext] = field(default_factory=list[BrowserContext])
    _homes: set[str] = field(default_factory=set[str])

    def expect(self, pattern: str) -> None:
        """Let problems that match `pattern` pass."""
        self._expected.append(re.compile(pattern))

    async def open(
        self,
        url: str,
        *,
        width: int = 1440,
        height: int = 900,
        scheme: Literal["light", "dark"] = "light",
        storage: Mapping[str, str] | None = None,
    ) -> Page:
        """Open a page in a fresh profile; `storage` is put into its sessionStorage first."""
        parts = urlsplit(url)
        self._homes.add(parts.netloc)
        context = await self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
            base_url=f"{parts.scheme}://{parts.netloc}",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self._contexts.append(context)
        context.set_default_timeout(_PATIENCE_MS)
        await context.add_init_script(_REPORT_BREACHES)
        for name, value in (storage or {}).items():
            await context.add_init_script(f"if (location.host) sessionStorage.setItem({name!r}, {value!r})")
        self._watch(context)
        page = await context.new_page()
        await page.goto(url)
        return page

    def _watch(self, context: BrowserContext) -> None:
        context.on("console", lambda said: self._note(f"console: {said.text}", said.type in {"error", "warning"}))
        context.on("weberror", lambda failed: self._note(f"script: {failed.error}"))
        context.on("request", self._check_home)
        context.on("requestfailed", self._check_failure)
        context.on("dialog", lambda shown: self._note(f"dialog: {shown.message}"))

    def _check_home(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.netloc not in self._homes:
            self._note(f"request to a stranger: {request.url}")

    def _check_failure(self, request: Request) -> None:
        if request.failure != _ABORTED:
            self._note(f"request failed: {request.url} {request.failure}")

    def _note(self, problem: str, really: Any = True) -> None:
        if really:
            self.problems.append(problem)

    async def leave(self) -> None:
        for context in self._contexts:
            await context.close()

    def complaints(self) -> list[str]:
        return [one for one in self.problems if not any(pattern.search(one) for pattern in self._expected)]


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser) -> AsyncIterator[Visitor]:
    found = Visitor(browser)
    yield found
    await found.leave()
    assert found.complaints() == []
