"""The lists of traces and of logs: filters that live in the address, keys, pages, and logs as they come."""

import asyncio
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from playwright.async_api import Page, Route, expect

from tests.fix_browser import Visitor
from tests.fix_page import Stack
from tests.query.page.looking import assert_usable, settled
from tests.query.page.world import FAILED, SLOW
from tests.query.telemetry import Sent, log, store

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def opened(visitor: Visitor, stack: Stack, path: str) -> Page:
    return await settled(await visitor.open(stack.url + path))


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


async def test_a_slow_trace_is_found_by_its_filters(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/search?since=2h")
    await page.get_by_label("Took at least").fill("6s")
    await page.get_by_label("Took at least").press("Enter")
    await page.get_by_label("User", exact=True).fill("ada")
    await page.get_by_label("User", exact=True).press("Enter")
    await page.get_by_label("Where").fill("chunk_size=1024")
    await page.get_by_label("Where").press("Enter")
    await page.get_by_role("button", name="Slowest").click()

    row = page.get_by_test_id("trace-row").filter(has_text=SLOW)
    await expect(row).to_contain_text("7.57 s")
    assert asked(page) == {
        "since": ["2h"],
        "min_duration": ["6s"],
        "user": ["ada"],
        "where": ["chunk_size=1024"],
        "order": ["slowest"],
    }
    await row.get_by_role("link").click()
    await expect(page).to_have_url(re.compile(f"/trace/{SLOW}"))


async def test_a_link_restores_every_filter(visitor: Visitor, stack: Stack) -> None:
    query = "since=3h&service=rag-service&operation=POST+%2Fask&status=error&layer=retrieval&min_duration=10ms"
    query += "&max_duration=1h&user=ada&tenant=acme&session=ada-2&where=chunk_size%3E1&order=slowest"
    page = await opened(visitor, stack, f"/search?{query}")

    for label, value in {
        "Service": "rag-service",
        "Operation": "POST /ask",
        "Status": "error",
        "Layer": "retrieval",
        "Took at least": "10ms",
        "At most": "1h",
        "User": "ada",
        "Tenant": "acme",
        "Session": "ada-2",
    }.items():
        await expect(page.get_by_label(label, exact=True)).to_have_value(value)
    await expect(page.get_by_role("button", name="Remove chunk_size>1")).to_be_visible()
    await expect(page.get_by_role("button", name="Slowest")).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_role("button", name="Time range: Last 3h")).to_be_visible()
    await page.get_by_role("button", name="Clear").click()
    await expect(page).to_have_url(re.compile(r"/search\?since=3h&order=slowest$"))


async def test_failed_traces_are_told_apart(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/search?since=2h&user=ada")
    await page.get_by_label("Status").select_option("failed")
    rows = page.get_by_test_id("trace-row")
    await expect(rows.filter(has=page.get_by_role("img", name="failed")).first).to_contain_text("RateLimitError")
    await expect(rows.filter(has_not=page.get_by_role("img", name="failed"))).to_have_count(0)


async def test_a_list_is_walked_by_keys(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/search?since=2h")
    await page.get_by_role("region", name="Traces").focus()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    focused = page.locator("[data-index]:focus")
    await expect(focused).to_have_attribute("data-index", "1")
    await page.keyboard.press("k")
    await expect(focused).to_have_attribute("data-index", "0")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("tree")).to_be_visible()


async def test_a_list_goes_on_while_one_scrolls(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/logs?since=7d&service=rag-service")
    await expect(page.get_by_text("100+ logs")).to_be_visible()
    frame = page.get_by_role("region", name="Logs")
    await frame.evaluate("(frame) => setInterval(() => frame.scrollTo(0, frame.scrollHeight), 100)")
    await expect(page.get_by_text(re.compile(r"^([4-9]\d\d|\d,\d{3})\+? logs"))).to_be_visible()
    assert await page.get_by_test_id("log-row").count() < 80


@pytest.mark.parametrize("path", ["/search?since=7d", "/logs?since=7d"])
async def test_a_list_can_be_used_while_more_of_it_comes(visitor: Visitor, stack: Stack, path: str) -> None:
    page = await opened(visitor, stack, "/health")
    begun, released = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        begun.set()
        await released.wait()
        await route.continue_()

    await page.route("**/*cursor=*", hold)
    await page.goto(stack.url + path)
    await page.get_by_test_id("list").evaluate("(frame) => frame.scrollTo(0, frame.scrollHeight)")
    await begun.wait()
    await expect(page.get_by_text("Loading", exact=True)).to_have_count(1)
    await assert_usable(page)
    table = page.get_by_role("table")
    held = str(await table.get_attribute("aria-rowcount"))
    released.set()
    await expect(table).not_to_have_attribute("aria-rowcount", held)


async def test_a_bar_of_the_logs_asks_for_its_time(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/logs?since=2h&user=ada")
    bars = page.locator("[data-testid=chart][aria-label^='Over time.']")
    await bars.focus()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("until="))
    since, until = (datetime.fromisoformat(asked(page)[name][0]) for name in ("since", "until"))
    assert (until - since).total_seconds() == 300
    assert asked(page)["user"] == ["ada"]


async def test_logs_are_searched_and_lead_to_their_trace(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/logs?since=2h")
    await page.get_by_label("Search", exact=True).fill("tokens minute")
    await page.get_by_label("Search", exact=True).press("Enter")
    await page.get_by_label("Level").select_option("ERROR")
    await page.get_by_label("Request", exact=True).fill("req-90002")
    await page.get_by_label("Request", exact=True).press("Enter")

    row = page.get_by_test_id("log-row").filter(has_text="completion_refused")
    await expect(page.get_by_test_id("log-row")).to_have_count(2)
    await row.get_by_role("button", name="Show fields").click()
    await expect(page.get_by_text("Traceback (most recent call last)")).to_be_visible()
    await page.get_by_role("link", name="Show the trace").click()
    await expect(page).to_have_url(re.compile(f"/trace/{FAILED}"))
    await expect(page.get_by_role("treeitem", selected=True)).to_contain_text("chat gpt-4.1-mini")


async def test_a_log_that_is_stored_shows_at_once_in_the_live_tail(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/logs?user=tailed")
    await expect(page.get_by_text("No logs with these filters")).to_be_visible()
    await page.get_by_role("button", name="Live tail").click()
    await expect(page.get_by_test_id("tail-state")).to_have_text("live")

    words = f"tailed {uuid4()}"
    await store(stack.dsn, Sent("rag-service", logs=[log(words, at=datetime.now(UTC), user_id="tailed")]))
    await expect(page.get_by_text(words)).to_be_visible()

    await page.get_by_role("button", name="Pause").click()
    later = f"later {uuid4()}"
    await store(stack.dsn, Sent("rag-service", logs=[log(later, at=datetime.now(UTC), user_id="tailed")]))
    # The first may have come with the list before the tail told it.
    await expect(page.get_by_test_id("tail-state")).to_have_text(re.compile(r"paused, [12] waiting"))
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_text(later)).to_be_visible()
    assert asked(page)["live"] == ["yes"]


async def test_an_id_leads_to_its_trace_from_anywhere(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/logs")
    for words in (SLOW, "req-90001"):
        await page.keyboard.press("Escape")
        jump = page.get_by_label("Go to a trace or request id, or search logs")
        await jump.fill(words)
        await jump.press("Enter")
        await expect(page).to_have_url(re.compile(f"/trace/{SLOW}"))
        await page.goto(f"{stack.url}/search")


async def test_an_id_of_a_request_may_look_like_that_of_a_trace(visitor: Visitor, stack: Stack) -> None:
    request, trace = uuid4().hex, uuid4().hex
    await store(
        stack.dsn, Sent("web-shop", logs=[log("asked", at=datetime.now(UTC), trace_id=trace, request_id=request)])
    )
    page = await opened(visitor, stack, "/")
    await page.keyboard.press("/")
    await page.keyboard.type(request)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"/trace/{trace}"))


async def test_what_is_not_there_and_what_is_wrong_are_said(visitor: Visitor, stack: Stack) -> None:
    visitor.expect("status of 422")
    page = await opened(visitor, stack, "/search?user=nobody")
    await expect(page.get_by_text("No traces with these filters in this time")).to_be_visible()
    await page.get_by_role("button", name="Look at the last 7 days").click()
    await expect(page).to_have_url(re.compile(r"since=7d"))

    await page.goto(f"{stack.url}/search?min_duration=soon")
    await expect(page.get_by_role("alert")).to_contain_text("'soon' is not a length of time")

    await page.goto(f"{stack.url}/trace/xyz")
    await expect(page.get_by_role("alert")).to_contain_text("Not a trace id")
    await expect(page.get_by_role("button", name="Try again")).to_have_count(0)


async def test_while_an_answer_is_on_its_way_the_page_says_so(visitor: Visitor, stack: Stack) -> None:
    visitor.expect(r"ERR_FAILED")
    page = await opened(visitor, stack, "/search")
    await page.context.route("**/api/v1/logs?**", lambda _route: None)
    await page.get_by_role("link", name="Logs", exact=True).click()
    await expect(page.get_by_role("status").filter(has_text="Loading").first).to_be_attached()
    await page.context.unroute_all()

    await page.context.route("**/api/v1/traces?**", lambda route: route.abort())
    await page.goto(f"{stack.url}/search")
    await expect(page.get_by_role("alert").first).to_contain_text("The server cannot be reached")
