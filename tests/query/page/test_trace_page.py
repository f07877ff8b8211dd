"""The page of one request: its tree on one time axis, why it went so, what a model was told, where LangSmith has it."""

import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.fix_browser import Visitor
from tests.fix_page import Stack
from tests.query.page.looking import settled
from tests.query.page.world import FAILED, HOSTILE, LARGE, MARKUP, QUESTION, SLOW

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def opened(visitor: Visitor, stack: Stack, path: str, width: int = 1440) -> Page:
    return await settled(await visitor.open(stack.url + path, width=width))


async def test_a_slow_request_says_why(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/trace/{SLOW}")

    await expect(page.get_by_role("heading", name="POST /help", level=1)).to_be_visible()
    await expect(page.get_by_text(re.compile(r"Slow: POST \(model-gateway\) took 6\.89 s"))).to_be_visible()
    rows = page.get_by_role("treeitem")
    for name in ("POST /ask", "memory.history", "retrieval.search", "data.query", "http_request_received"):
        await expect(rows.filter(has_text=name).first).to_be_visible()


async def test_bars_lie_on_one_axis(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/trace/{SLOW}?logs=none")
    inner = await page.get_by_role("treeitem").filter(has_text="chat gpt-4.1-mini").bounding_box()
    assert inner is not None
    bars = await page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("[data-span]")].map((row) => {
            const bar = row.querySelector("[class*=_bar_]").getBoundingClientRect();
            return [row.textContent, [bar.left, bar.right]];
        }))"""
    )
    (whole,) = (place for name, place in bars.items() if "POST /help" in name)
    (call,) = (place for name, place in bars.items() if "chat gpt-4.1-mini" in name)
    assert whole[0] < call[0] < call[1] <= whole[1]
    assert (call[1] - call[0]) / (whole[1] - whole[0]) == pytest.approx(6900 / 7566, abs=0.02)


async def test_a_failed_request_is_followed_to_its_first_error(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/debug/trace/{FAILED}")

    await expect(page.get_by_text("4 failed spans")).to_be_visible()
    await page.get_by_role("button", name=re.compile("errors?$")).click()
    await page.get_by_role("treeitem").filter(has_text="chat gpt-4.1-mini").click()
    detail = page.get_by_role("complementary", name="Details")
    await expect(detail.get_by_text("RateLimitError: the tenant's tokens of this minute are used up")).to_be_visible()
    await page.get_by_role("treeitem").filter(has_text="completion_refused").click()
    await expect(detail.get_by_text("Traceback (most recent call last)")).to_be_visible()


async def test_what_was_said_to_the_model_is_there(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/trace/{SLOW}")
    await page.get_by_role("treeitem").filter(has_text="chat gpt-4.1-mini").click()

    detail = page.get_by_role("complementary", name="Details")
    await expect(detail.get_by_text(QUESTION)).to_be_visible()
    await expect(detail.get_by_text("Send us a photo; the return is free.")).to_be_visible()
    await expect(detail.get_by_text("1,840 + 236")).to_be_visible()
    await detail.get_by_role("tab", name="Attributes").click()
    await expect(detail.get_by_text("gen_ai.provider.name")).to_be_visible()


async def test_a_link_restores_what_was_chosen(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/trace/{SLOW}")
    await page.get_by_role("button", name="Critical path").click()
    await page.get_by_role("button", name="Off", exact=True).click()
    await page.get_by_label("Find in this trace").fill("rerank")
    await page.get_by_role("treeitem").filter(has_text="generation.generate").click()
    await page.get_by_role("tab", name="Resource").click()
    await expect(page).to_have_url(re.compile("tab=resource"))

    again = await settled(await visitor.open(page.url))

    await expect(again.get_by_role("button", name="Critical path")).to_have_attribute("aria-pressed", "true")
    await expect(again.get_by_role("button", name="Off", exact=True)).to_have_attribute("aria-pressed", "true")
    await expect(again.get_by_label("Find in this trace")).to_have_value("rerank")
    await expect(again.get_by_role("heading", name="generation.generate")).to_be_visible()
    await expect(again.get_by_role("tab", name="Resource")).to_have_attribute("aria-selected", "true")


async def test_keys_walk_through_the_tree(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/trace/{SLOW}?logs=none")
    await page.get_by_role("tree").focus()
    chosen = page.get_by_role("treeitem", selected=True)

    await page.keyboard.press("Home")
    await expect(chosen).to_contain_text("POST /help")
    await page.keyboard.press("ArrowDown")
    await expect(chosen).to_contain_text("POST /ask")
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("treeitem")).to_have_count(2)
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("treeitem")).to_have_count(10)
    await page.keyboard.press("End")
    await expect(chosen).to_contain_text("evaluation.evaluate")
    await page.keyboard.press("Escape")
    await expect(chosen).to_have_count(0)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


async def test_the_trace_id_is_copied(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/trace/{SLOW}")
    await page.get_by_role("button", name=f"Copy Trace {SLOW}").click()
    await expect(page.get_by_role("button", name="Trace copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == SLOW


async def test_langsmith_is_one_click_away(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/trace/{SLOW}")
    visitor.expect(r"request to a stranger: http://localhost/o/")

    async def answer(route: Route) -> None:
        await route.fulfill(body="<title>LangSmith</title>", content_type="text/html")

    await page.context.route("http://localhost/**", answer)
    async with page.expect_popup() as opening:
        await page.get_by_role("link", name="LangSmith").click()
    shown = await opening.value
    link = r"^http://localhost/o/[0-9a-f-]{36}/projects/p/[0-9a-f-]{36}/r/51030000-"
    await expect(shown).to_have_url(re.compile(link))
    assert await shown.evaluate("[document.referrer, window.opener]") == ["", None]


async def test_ten_thousand_spans_scroll(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/trace/{LARGE}")
    tree = page.get_by_role("tree")
    await expect(page.get_by_text("10,000")).to_be_visible()
    assert await page.get_by_role("treeitem").count() < 120

    await tree.focus()
    await page.keyboard.press("End")
    await expect(page.get_by_role("treeitem", selected=True)).to_contain_text("chunk.embed")
    assert await page.get_by_role("treeitem").count() < 120
    slow = await tree.evaluate(
        """async (tree) => {
            const frame = () => new Promise((done) => requestAnimationFrame(done));
            let [slow, last] = [0, await frame()];
            for (let step = 1; step <= 60; step++) {
                tree.scrollTop = tree.scrollHeight * step / 60;
                const now = await frame();
                slow += now - last > 1000;
                last = now;
            }
            return slow;
        }"""
    )
    assert slow <= 2, "frames while scrolling took a second, and more of them than a busy machine holds up"


async def test_hostile_values_are_shown_as_text(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, f"/trace/{HOSTILE}")
    await expect(page.get_by_role("heading", name=MARKUP, level=1)).to_be_visible()
    await page.get_by_role("treeitem").first.click()
    detail = page.get_by_role("complementary", name="Details")
    await expect(detail.get_by_text(MARKUP).first).to_be_visible()
    await detail.get_by_role("tab", name="Attributes").click()
    await expect(detail.get_by_text("javascript:alert(3)")).to_be_visible()
    await page.get_by_role("treeitem").filter(has_text="javascript:alert(5)").click()
    await expect(detail.get_by_text("</script><script>alert(4)</script>")).to_be_visible()

    assert await page.locator("img, main script, [onerror], a[href^='javascript:' i]").count() == 0


@pytest.mark.parametrize(
    ("trace_id", "said"), [("0" * 31 + "1", "no span or log of trace"), ("nonsense", "is not a trace id")]
)
async def test_a_trace_that_is_not_there_is_told(visitor: Visitor, stack: Stack, trace_id: str, said: str) -> None:
    visitor.expect(r"status of 4\d\d")
    page = await visitor.open(f"{stack.url}/trace/{trace_id}")
    await expect(page.get_by_role("alert")).to_contain_text(said)
