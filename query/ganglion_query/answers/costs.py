"""What did it cost: US dollars and tokens by user, tenant, model, layer, service or trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ganglion_query.answers.period import Period

__all__ = ["By", "CostGroup", "Costs"]

By = Literal["user", "tenant", "model", "layer", "service", "trace"]


@dataclass(frozen=True, slots=True)
class CostGroup:
    """`name` is None for what names none; `is_computed`: part of it is by list prices."""

    name: str | None
    usd: float
    is_computed: bool
    calls: int
    requests: int
    tokens: int
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Costs:
    """The groups by descending dollars; `usd` and `tokens` are those of all, also of groups beyond the limit."""

    by: By
    period: Period
    usd: float
    is_computed: bool
    tokens: int
    groups: Sequence[CostGroup]
    others: int
