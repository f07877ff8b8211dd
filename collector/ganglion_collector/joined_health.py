"""A worker's health where the exporter has a word in it: well is only what both say is well."""

from ganglion_collector.delivery import Health

__all__ = ["JoinedHealth"]


class JoinedHealth:
    """Tells `health` what the delivery says, else what the exporter reports by itself."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._delivery: str | None = None
        self._reported = ""

    def ok(self) -> None:
        self._delivery = ""
        self._tell()

    def failing(self, reason: str) -> None:
        self._delivery = reason
        self._tell()

    def report(self, reason: str) -> None:
        """Take the exporter's own word: what is wrong, "" for nothing."""
        self._reported = reason
        self._tell()

    def _tell(self) -> None:
        if reason := self._delivery or self._reported:
            self._health.failing(reason)
        elif self._delivery is not None:
            self._health.ok()
