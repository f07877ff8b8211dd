"""What holds for every page: it fits any screen, everybody can use it, and nothing is said on the console."""

from typing import Literal

import pytest

from tests.fix_browser import Visitor
from tests.fix_page import Stack
from tests.query.page.looking import assert_usable, settled
from tests.query.page.world import FAILED, HOSTILE, SLOW

pytestmark = pytest.mark.asyncio(loop_scope="session")

Scheme = Literal["light", "dark"]
PAGES = {
    "overview": "/",
    "traces": "/search",
    "logs": "/logs",
    "errors": "/errors",
    "slow trace": f"/trace/{SLOW}",
    "failed trace": f"/debug/trace/{FAILED}",
    "changes": "/changes?at=24m",
    "compare": "/compare?by=chunk_size",
    "quality": "/quality",
    "costs": "/costs?by=user",
    "health": "/health",
}
every_page = pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)


@every_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_it_at_a_desk(visitor: Visitor, stack: Stack, path: str, scheme: Scheme) -> None:
    page = await settled(await visitor.open(stack.url + path, scheme=scheme))
    await assert_usable(page)
    assert "Ganglion" in await page.title()


@every_page
async def test_everybody_can_use_it_on_a_telephone(visitor: Visitor, stack: Stack, path: str) -> None:
    page = await settled(await visitor.open(stack.url + path, width=375, height=740))
    await assert_usable(page)


@pytest.mark.parametrize("path", ["/", "/search", "/logs", "/errors", f"/trace/{HOSTILE}", "/errors?user=nobody"])
async def test_nothing_that_is_stored_becomes_markup(visitor: Visitor, stack: Stack, path: str) -> None:
    page = await settled(await visitor.open(stack.url + path))
    assert await page.locator("img[src=x], main script, a[href^='javascript:' i], [onerror]").count() == 0
