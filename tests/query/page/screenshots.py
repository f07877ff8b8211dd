"""Take the pictures of docs/screenshots/: `make screenshots`."""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from playwright.async_api import Page

from tests.fix_browser import Visitor, running_browser
from tests.fix_page import Stack, running_stack
from tests.fix_postgresql import embedded_server
from tests.query.page.looking import settled
from tests.query.page.world import FAILED, SLOW, week

FOLDER = Path(__file__).parents[3] / "docs" / "screenshots"
PAGES = {
    "overview": "/",
    "search": "/search?order=slowest",
    "logs": "/logs?level=WARNING",
    "trace": f"/trace/{SLOW}",
    "failed": f"/trace/{FAILED}",
    "errors": "/errors",
    "compare": "/compare?by=chunk_size",
    "changes": "/changes?at={deployed}",
    "quality": "/quality",
    "costs": "/costs?by=user",
    "health": "/health",
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def take(stack: Stack) -> None:
    deployed = (datetime.now(UTC) - timedelta(minutes=25)).strftime("%Y-%m-%dT%H:%M:00Z")
    async with running_browser() as browser:
        visitor = Visitor(browser)
        for name, path in PAGES.items():
            for scheme in SCHEMES:
                url = stack.url + path.format(deployed=deployed)
                page = await settled(await visitor.open(url, height=800, scheme=scheme))
                await _save(page, FOLDER / f"{name}-{scheme}.png")
        await visitor.leave()
    for complaint in visitor.complaints():
        print(complaint)


async def _save(page: Page, path: Path) -> None:
    await page.wait_for_load_state("networkidle")
    picture = await page.screenshot(path=path)
    print(f"{path.name} {len(picture) // 1000} kB")


async def main(server: str, folder: Path) -> None:
    async with running_stack(server, folder, week()) as stack:
        await take(stack)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    with embedded_server() as dsn, tempfile.TemporaryDirectory() as home:
        asyncio.run(main(dsn, Path(home)))
