"""The pages that answer a question: what is planted in the week is what they name."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.fix_browser import Visitor
from tests.fix_page import Stack
from tests.query.page.looking import settled

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def opened(visitor: Visitor, stack: Stack, path: str) -> Page:
    return await settled(await visitor.open(stack.url + path))


async def deployed(page: Page, stack: Stack) -> datetime:
    """Return when the first request of version 1.3.0 came."""
    query = "where=service.version%3D1.3.0&since=2h&limit=1000"
    answer = await page.request.get(f"{stack.url}/api/v1/traces?{query}")
    return min(datetime.fromisoformat(item["start_time"]) for item in (await answer.json())["items"])


async def test_errors_are_told_by_their_cause(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/errors?since=2h")
    await expect(page.get_by_test_id("verdict")).to_contain_text("RateLimitError")
    group = page.get_by_test_id("error-group").filter(has_text="RateLimitError")
    await expect(group).to_contain_text("begins in chat gpt-4.1-mini of model-gateway")
    await expect(group.get_by_role("link", name="tenant=acme")).to_be_visible()
    await group.get_by_test_id("group-trace").first.click()
    await expect(page.get_by_text("4 failed spans")).to_be_visible()


async def test_errors_of_one_user_one_by_one(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/errors?since=2h")
    await page.get_by_role("button", name="One by one").click()
    await page.get_by_label("User").fill("ada")
    await page.get_by_label("User").press("Enter")
    rows = page.get_by_test_id("error-row")
    await expect(rows.filter(has_text="ada").first).to_be_visible()
    await expect(rows.filter(has_not_text="ada")).to_have_count(0)
    await rows.first.get_by_role("link").click()
    await expect(page.get_by_role("tree")).to_be_visible()

    await page.goto(f"{stack.url}/errors?since=2h&user=alan&view=list")
    await expect(page.get_by_text("No errors in this time")).to_be_visible()


async def test_changes_name_the_version_and_the_model(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/health")
    at = await deployed(page, stack)
    await page.goto(f"{stack.url}/changes?window=20m&at={at.strftime('%Y-%m-%dT%H:%M:%SZ')}")
    await settled(page)
    for words in ("1.3.0", "gpt-4.1-mini", "RateLimitError"):
        await expect(page.locator("main li").filter(has_text=words).first).to_be_visible()


async def test_a_setting_is_compared(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/compare?since=5d&until=2h")
    await page.get_by_label("Attribute").fill("chunk_size")
    await page.get_by_label("Attribute").press("Enter")
    await expect(page.get_by_test_id("verdict")).to_contain_text("chunk_size")
    for value in ("256", "512", "1024"):
        await expect(page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=value))).to_be_visible()
    await expect(page.get_by_test_id("left-out")).to_contain_text("Compared: POST /help of web-shop.")
    await page.get_by_role("link", name="1024").click()
    await expect(page).to_have_url(re.compile(r"where=chunk_size%3D1024"))
    await expect(page.get_by_test_id("trace-row").first).to_be_visible()


async def test_a_chart_spans_the_time_that_was_asked_for(visitor: Visitor, stack: Stack) -> None:
    now = datetime.now(UTC)
    page = await opened(visitor, stack, "/quality?since=30d")
    plot = page.get_by_test_id("score-trend").filter(has_text="faithfulness").locator(".u-over")
    box = await plot.bounding_box()
    assert box is not None
    await plot.click(position={"x": box["width"] * 27 / 30, "y": box["height"] / 2})
    await expect(page).to_have_url(re.compile(r"/search\?since="))
    since = datetime.fromisoformat(parse_qs(urlsplit(page.url).query)["since"][0])
    assert timedelta(days=2) < now - since < timedelta(days=4)


async def test_the_moment_quality_fell_is_named(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/quality")
    trend = page.get_by_test_id("score-trend").filter(has_text="faithfulness")
    await expect(trend).to_contain_text(re.compile(r"0\.9\d? → 0\.6\d? at"))
    await expect(page.get_by_test_id("verdict")).to_contain_text("faithfulness")
    told = re.search(r"at (\S+ \S+) UTC", await page.get_by_test_id("verdict").inner_text())
    assert told is not None
    age = datetime.now(UTC) - datetime.fromisoformat(f"{told[1]}+00:00")
    assert abs(age - timedelta(days=2)) < timedelta(hours=3)
    await trend.get_by_role("link", name="first poor answer").click()
    await expect(page.get_by_role("tree")).to_be_visible()


async def test_costs_are_added_up_by_what_one_asks(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/costs?since=7d")
    await expect(page.get_by_role("rowheader", name="gpt-4o-mini")).to_be_visible()
    await page.get_by_role("button", name="Tenant").click()
    await expect(page).to_have_url(re.compile("by=tenant"))
    await expect(page.get_by_role("rowheader").first).to_have_text("acme")
    await expect(page.get_by_role("rowheader", name="globex")).to_be_visible()
    await page.get_by_role("button", name="Trace", exact=True).click()
    await expect(page.get_by_role("columnheader", name="Trace")).to_be_visible()
    await page.get_by_role("rowheader").get_by_role("link").first.click()
    await expect(page.get_by_role("tree")).to_be_visible()


async def test_health_tells_of_the_collector_and_of_services(visitor: Visitor, stack: Stack) -> None:
    page = await opened(visitor, stack, "/health")
    await expect(page.get_by_test_id("verdict")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="rag-service")
    await expect(row).to_contain_text(re.compile("healthy|degraded|failing"))
    assert await page.locator("main li").count() >= 3
