"""Lists page by page: one page with where it goes on, or all of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ganglion_collector.terminal import print_json

from ganglion_query.answers.period import Period
from ganglion_query.commands import asking

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Listing", "Page"]

_AT_ONCE = 1000


class Page(Protocol):
    """What every list's answer has."""

    @property
    def items(self) -> Sequence[Any]: ...

    @property
    def next(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of `what` in `period`: `read` gives at most so many from a cursor on, `lines` shows one of them."""

    what: str
    period: Period
    read: Callable[[int, str | None], Page]
    lines: Callable[[Any], "Iterator[Text]"]

    def show(self, limit: int, cursor: str | None, *, as_json: bool) -> None:
        """Print one page and how to see the next."""
        page = self._page(limit, cursor)
        if not page.items:
            asking.nothing(self.what, page, self.period, as_json=as_json)
        if as_json:
            print_json(page)
            return
        self._print(page.items)
        if page.next is not None:
            from ganglion_query.render.layout import hint  # noqa: PLC0415 (quick start of other commands)

            hint(asking.screen(), f"The newest {len(page.items)}; more: --limit, --all, or --cursor {page.next}")

    def show_all(self, cursor: str | None, *, as_json: bool) -> None:
        """Print every one, as JSON one object a line."""
        page = self._page(_AT_ONCE, cursor)
        if not page.items:
            asking.nothing(self.what, page, self.period, as_json=as_json)
        while page.items:
            if as_json:
                for item in page.items:
                    print_json(item, indent=None)
            else:
                self._print(page.items)
            if page.next is None:
                return
            page = self._page(_AT_ONCE, page.next)

    def _page(self, limit: int, cursor: str | None) -> Page:
        with asking.waiting(f"Looking for {self.what}"), asking.listing():
            return self.read(limit, cursor)

    def _print(self, items: Sequence[Any]) -> None:
        screen = asking.screen()
        for item in items:
            for line in self.lines(item):
                screen.print(line, soft_wrap=True)
