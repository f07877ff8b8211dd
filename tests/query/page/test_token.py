"""Where a token is needed: the page asks for it, keeps it in its tab, and shows what its bearer may see."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.fix_browser import Visitor
from tests.fix_page import Stack, whole_collector
from tests.query.page.world import SLOW

pytestmark = pytest.mark.asyncio(loop_scope="session")

ACME, GLOBEX = "acme-token-0123456789abcdef", "globex-token-0123456789abcdef"
TOKENS = json.dumps([{"token": ACME, "tenants": ["acme"]}, {"token": GLOBEX, "tenants": ["globex"]}])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Yield the address of the page of a whole collector that wants tokens."""
    served = whole_collector(stack.dsn, tmp_path_factory.mktemp("guarded"), f"tokens: {TOKENS}")
    collector = await asyncio.to_thread(served.__enter__)
    try:
        yield f"http://{collector.address('query')}"
    finally:
        await asyncio.to_thread(served.__exit__, None, None, None)


async def asked(visitor: Visitor, url: str) -> Page:
    visitor.expect(r"status of 401")
    page = await visitor.open(url)
    await expect(page.get_by_role("dialog", name="Token")).to_be_visible()
    return page


async def answer(page: Page, token: str) -> None:
    await page.get_by_label("Bearer token").fill(token)
    await page.keyboard.press("Enter")


async def test_the_page_asks_for_a_token_and_then_shows_the_trace(visitor: Visitor, guarded: str) -> None:
    page = await asked(visitor, f"{guarded}/trace/{SLOW}")
    await answer(page, ACME)

    await expect(page.get_by_role("heading", name="POST /help", level=1)).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert ACME not in page.url
    assert await page.evaluate("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]") == [
        [ACME],
        [],
        "",
    ]


async def test_a_wrong_token_is_asked_for_again(visitor: Visitor, guarded: str) -> None:
    page = await asked(visitor, f"{guarded}/trace/{SLOW}")
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await page.route("**/api/v1/**", hold)
    await answer(page, "wrong-token-0123456789")
    # The dialog that goes says already what the next one says.
    await expect(page.get_by_role("dialog")).to_have_count(0)
    released.set()
    await expect(page.get_by_text("The token of this tab is not accepted")).to_be_visible()
    await answer(page, ACME)
    await expect(page.get_by_role("heading", name="POST /help", level=1)).to_be_visible()


async def test_another_tenant_does_not_see_the_trace(visitor: Visitor, guarded: str) -> None:
    visitor.expect(r"status of 404")
    page = await visitor.open(f"{guarded}/trace/{SLOW}", storage={"ganglion.token": GLOBEX})
    await expect(page.get_by_role("alert")).to_contain_text("no span or log of trace")


async def test_without_an_answer_the_page_says_what_is_missing(visitor: Visitor, guarded: str) -> None:
    page = await asked(visitor, f"{guarded}/trace/{SLOW}")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("alert")).to_contain_text("a token is needed")
    await page.get_by_role("button", name="Enter a token").click()
    await expect(page.get_by_role("dialog", name="Token")).to_be_visible()
