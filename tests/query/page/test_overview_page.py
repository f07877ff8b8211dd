"""The overview: how it goes, and from what stands out to the requests behind it."""

import asyncio
import re
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.fix_browser import Visitor
from tests.fix_page import Stack
from tests.query.page.looking import settled
from tests.query.page.world import FAILED

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def opened(visitor: Visitor, stack: Stack, path: str = "/") -> Page:
    page = await settled(await visitor.open(stack.url + path))
    # It has an answer of its own.
    await expect(page.get_by_test_id("health-banner")).to_be_visible()
    return page


def chart(page: Page, title: str) -> Locator:
    return page.locator(f"[data-testid=chart][aria-label^='{title}.']")


_DRAWN_TIME = """(one) => new Promise(
    (told) => requestAnimationFrame(() => requestAnimationFrame(() => told(one.dateTime))))"""


async def place_of(page: Page, title: str, stack: Stack, trace_id: str) -> tuple[float, float]:
    """Point at the step of a chart in which a trace began, as its legend tells the time; return where that is."""
    answer = await page.request.get(f"{stack.url}/api/v1/traces/{trace_id}")
    began = datetime.fromisoformat((await answer.json())["start_time"])
    box = await chart(page, title).locator(".u-over").bounding_box()
    assert box is not None
    told = page.locator("figure").filter(has=chart(page, title)).locator("time")
    for x in range(round(box["x"]) + 1, round(box["x"] + box["width"]), 3):
        at = (x, box["y"] + box["height"] / 2)
        await page.mouse.move(*at)
        time: str = await told.evaluate(_DRAWN_TIME)
        if timedelta(0) <= began - datetime.fromisoformat(time) < timedelta(minutes=1):
            return at
    raise AssertionError(f"{title} shows no step with {began}")


async def test_nothing_moves_when_the_state_of_the_collector_comes(visitor: Visitor, stack: Stack) -> None:
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        await released.wait()
        await route.continue_()

    page = await settled(await visitor.open(f"{stack.url}/search"))
    await page.route("**/api/v1/health", hold)
    await page.get_by_role("link", name="Overview", exact=True).click()
    plot = chart(page, "Error rate")
    await expect(plot).to_be_visible()
    before = await plot.bounding_box()
    released.set()
    await expect(page.get_by_test_id("health-banner")).to_be_visible()
    assert await plot.bounding_box() == before


async def test_a_spike_is_followed_to_a_trace_to_a_log_to_langsmith(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack)
    await page.mouse.click(*await place_of(page, "Error rate", stack, FAILED))

    await expect(page).to_have_url(re.compile(r"/search\?.*status=error"))
    await page.locator(f"main a[href*='{FAILED}']").click()
    await page.get_by_role("treeitem").filter(has_text="completion_refused").click()
    detail = page.get_by_role("complementary", name="Details")
    await expect(detail.get_by_text("Traceback (most recent call last)")).to_be_visible()

    async def answer(route: Route) -> None:
        await route.fulfill(body="<title>LangSmith</title>", content_type="text/html")

    visitor.expect(r"request to a stranger: http://localhost/o/")
    await page.context.route("http://localhost/**", answer)
    async with page.expect_popup() as opening:
        await page.get_by_role("link", name="LangSmith").click()
    await expect(await opening.value).to_have_url(re.compile("/r/fa170000-"))


async def test_a_stretch_that_is_dragged_can_be_looked_into(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack)
    box = await chart(page, "Requests").locator(".u-over").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + box["width"] * 0.6, middle)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=4)
    await page.mouse.up()

    chosen = page.get_by_role("region", name="Chosen time")
    await expect(chosen.get_by_text(re.compile(r"\d+ requests, \d+ failed"))).to_be_visible()
    await chosen.get_by_role("link", name="What changed").click()
    await expect(page).to_have_url(re.compile(r"/changes\?.*at=20"))


async def test_charts_are_walked_by_keys(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack)
    await chart(page, "Latency").focus()
    for _ in range(6):
        await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"/search\?.*order=slowest"))


async def test_services_and_layers_lead_to_their_requests(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/?since=2h")
    await page.get_by_title("Only rag-service").click()
    await expect(page).to_have_url(re.compile(r"/\?since=2h&service=rag-service$"))
    await page.get_by_label("Layer").select_option("generation")
    await expect(page).to_have_url(re.compile("layer=generation"))

    again = await settled(await visitor.open(page.url))
    await expect(again.get_by_label("Service")).to_have_value("rag-service")
    await expect(again.get_by_label("Layer")).to_have_value("generation")
    await again.get_by_role("row").filter(has_text="generation").get_by_role("link").nth(1).click()
    await expect(again).to_have_url(re.compile(r"/search\?since=2h&layer=generation"))
    await expect(again.get_by_test_id("trace-row").first).to_be_visible()


async def test_a_time_without_requests_says_so(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/?since=2020-01-01&until=2020-01-02")
    await expect(page.get_by_text("No requests in this time")).to_be_visible()


async def test_the_time_range_goes_along_and_is_written_as_people_do(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack)
    await page.get_by_role("button", name="Time range: Last hour").click()
    await page.get_by_label("From").fill("3 hours ago")
    await page.get_by_role("button", name="Apply").click()
    await expect(page).to_have_url(re.compile(r"since=3\+hours\+ago"))
    # The second key counts for a moment only, which may be over before the browser gets it.
    await page.evaluate("performance.now = () => 5")
    await page.keyboard.press("g")
    await page.keyboard.press("l")
    await expect(page).to_have_url(re.compile(r"/logs\?since=3\+hours\+ago"))


KEYS_WITH_THE_NEXT_ADDRESS = """() => {
    const push = history.pushState.bind(history);
    history.pushState = (...to) => {
        history.pushState = push;
        push(...to);
        for (const key of ["g", "l"]) {
            queueMicrotask(() => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })));
        }
    };
}"""


async def test_keys_before_the_page_is_drawn_anew_keep_the_new_range(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack)
    await page.get_by_role("button", name="Time range: Last hour").click()
    await page.get_by_label("From").fill("3 hours ago")
    await page.evaluate(KEYS_WITH_THE_NEXT_ADDRESS)
    await page.get_by_role("button", name="Apply").click()
    await expect(page).to_have_url(re.compile(r"/logs\?since=3\+hours\+ago"))


async def test_a_letter_alone_leads_nowhere_however_new_the_page_is(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack)
    await page.evaluate("performance.now = () => 5")
    await page.keyboard.press("l")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert urlsplit(page.url).path == "/"


async def test_colours_are_chosen_and_kept(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack)
    body = page.locator("body")
    light = str(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    await page.get_by_role("button", name="Settings").click()
    await page.get_by_role("menuitemradio", name="Dark").click()
    await expect(body).not_to_have_css("background-color", light)
    await page.reload()
    await settled(page)
    await expect(body).not_to_have_css("background-color", light)
