"""From when until when a question is about."""

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["Period"]


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` up to and without `until`; both aware, `since` before `until`."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        return self.until - self.since
