"""A cache of bounded size."""

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Recent"]

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keep what was used lately, as long as the whole weighs at most twice `limit`.

    Two generations: a full young one becomes the old one, whose entries are taken over when they are used again and
    forgotten with it otherwise. So a hit costs one look-up, unlike a list in order of use.
    """

    def __init__(self, limit: int, weigh: Callable[[K], int]) -> None:
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        found = self._young.get(key)
        if found is None and key in self._old:
            found = self._old.pop(key)
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """Keep `value`; one that weighs more than a tenth of the limit is not kept."""
        weight = self._weigh(key)
        if weight * 10 > self._limit:
            return
        if self._weight + weight > self._limit:
            self._old, self._young, self._weight = self._young, {}, 0
        self._young[key] = value
        self._weight += weight

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
