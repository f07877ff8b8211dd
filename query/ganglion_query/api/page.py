"""The page as it was built: files of the package, unchanged for ever under names that hold their hash."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ganglion_query.api.access import is_data

__all__ = ["BUILT", "Page"]

BUILT = Path(__file__).parents[1] / "_page"
"""Where the build puts it."""

_MISSING = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Ganglion</title></head>
<body>
<h1>The page is not built</h1>
<p>The API answers under <code>/api/v1</code>. In a checkout, <code>make page</code> builds the page.</p>
</body>
</html>
"""


class Page(StaticFiles):
    """Serves files of `folder`; the paths of its own views, which have no dot at the end, get its index."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, check_dir=False)
        self._index = folder / "index.html"

    async def check_config(self) -> None:
        """Take a folder that is not there: the page may be built later."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, "only GET", {"allow": "GET, HEAD"})
        if is_data(f"/{path}") and scope["method"] == "HEAD":
            raise HTTPException(405, "only GET", {"allow": "GET"})
        if is_data(f"/{path}"):
            raise HTTPException(404, "there is no such route; /api/v1/openapi.json has them all")
        if path.startswith("assets/"):
            response = await super().get_response(path, scope)
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
            return response
        if "." in path.rpartition("/")[2].lstrip(".") and path != "index.html":
            return await super().get_response(path, scope)
        if not self._index.is_file():
            return HTMLResponse(_MISSING, 503)
        return FileResponse(self._index, headers={"cache-control": "no-cache"})
