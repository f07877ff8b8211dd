"""How a test looks at a page: until it is all there, with axe, and for what does not fit."""

from functools import cache

from playwright.async_api import Page, expect

from tests.fix_page import AXE

__all__ = ["assert_usable", "settled"]

_RUN_AXE = """async () => {
    const found = await axe.run(document, { resultTypes: ["violations"] });
    return found.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map(
        (one) => `${one.id}: ${one.help}\\n` + one.nodes.slice(0, 5).map(
            (node) => `    ${node.html.slice(0, 200)}\\n    ${node.failureSummary.split("\\n").slice(1, 3).join(" ")}`
        ).join("\\n")
    );
}"""
# A scroller of its own may be wider than the screen, what lies in none may not.
_SIDEWAYS = """() => {
    const root = document.documentElement;
    if (root.scrollWidth <= root.clientWidth) return [];
    const wide = [...document.body.querySelectorAll("*")].filter(
        (one) => one.getBoundingClientRect().right > root.clientWidth + 1);
    return wide.slice(-3).map((one) => one.outerHTML.slice(0, 200));
}"""


async def settled(page: Page) -> Page:
    """Wait until the page shows what it is about, and nothing of it is still on its way."""
    await expect(page.locator("main h1").first).to_be_visible()
    await expect(page.locator("main").get_by_text("Loading")).to_have_count(0)
    await expect(page.locator("main [aria-busy=true]")).to_have_count(0)
    return page


@cache
def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


async def assert_usable(page: Page) -> None:
    """Fail where axe finds something serious or critical, or where the page scrolls sideways."""
    await page.evaluate(_axe())
    barriers: list[str] = await page.evaluate(_RUN_AXE)
    assert not barriers, "\n".join(barriers)
    wide: list[str] = await page.evaluate(_SIDEWAYS)
    assert not wide, "\n".join(wide)
