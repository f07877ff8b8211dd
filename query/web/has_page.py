"""What hatchling asks while it builds a wheel or a source distribution: is the page there that belongs into it."""
# ruff: noqa: INP001 (a program of this folder, not a module)

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface[Any]):
    """Refuse to build without the page; a checkout that is installed to work in needs none yet."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (the interface's)
        if version != "editable" and not (Path(self.root) / "query/ganglion_query/_page/index.html").is_file():
            raise RuntimeError("the page, which belongs into the distribution, is not built; run: make page")
