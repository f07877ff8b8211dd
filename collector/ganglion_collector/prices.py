"""What a call of a model costs by the list prices of its provider: a dated table, which a user's own file overrides.

    shipped prices.json ◀── over it, the file that GANGLION_PRICES names ──▶ Prices.cost(provider, model, usage)

A model that is not in the table costs nothing that is known (None), never 0; so do counts that nobody can believe.
"""

import datetime as dt
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from ganglion_collector.errors import ConfigError

__all__ = ["Cost", "Prices", "Usage", "cost", "default_prices", "load_prices"]

_LONGEST_NAME = 300
_MOST_TOKENS = 10**12
_ANY = "any"
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
# Amazon Bedrock: `us.anthropic.claude-…`; a model of ours has a dot only between digits.
_VENDOR = re.compile(r"^(?:[a-z][a-z-]*\.)+(?=[a-z])")
# What tells versions of a model apart, and its price seldom; where it does, the table has the whole name.
_VERSION = re.compile(
    r"""(?: @[\w.-]+                # Vertex AI: claude-opus-4@20250514
          | (?:-v\d+)?:\d[\w:]*     # Amazon Bedrock: -v1:0, -v2:0:48k
          | \[1m\] | -20\d{6} | -20\d\d-\d\d-\d\d | -\d{3,4} | -latest
        )$""",
    re.VERBOSE,
)


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one call; 0 where a count is not known.

    `cache_read`, `cache_creation` and `audio_input` are parts of `input`, `cache_creation_1h` one of `cache_creation`,
    `reasoning` and `audio_output` parts of `output`, as in OpenTelemetry's semantic conventions and LangSmith's
    `usage_metadata`. Senders that count caches or reasoning beside them are understood where the figures show it.
    """

    input: int = 0
    output: int = 0
    total: int = 0
    cache_read: int = 0
    cache_creation: int = 0
    cache_creation_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0


class Cost(msgspec.Struct, frozen=True):
    """US dollars, and the date (ISO 8601) of the table that they are computed by."""

    input: float
    output: float
    total: float
    table_date: str


_Dollars: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


_counts = attrgetter(*Usage.__struct_fields__)


class _Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars for a million tokens; what has no price of its own costs as much as other input or output."""

    input: _Dollars
    output: _Dollars | None = None
    cache_read: _Dollars | None = None
    cache_creation: _Dollars | None = None
    cache_creation_1h: _Dollars | None = None
    reasoning: _Dollars | None = None
    audio_input: _Dollars | None = None
    audio_output: _Dollars | None = None


class _Tier(_Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rates of the whole call where its input has more than `above` tokens."""

    above: Annotated[int, msgspec.Meta(ge=0)]


class _Model(_Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tiers: tuple[_Tier, ...] = ()


class _Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`aliases` name this provider too, `also` those whose models it sells at their prices.

    A model's name may hold `*`; `names` are other names of models (deployments). `date` is that of these prices, where
    it is not the table's.
    """

    date: dt.date | None = None
    aliases: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    models: dict[str, _Model] = {}
    names: dict[str, str] = {}


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    source: str = ""
    currency: Literal["USD"] = "USD"
    per_tokens: Literal[1_000_000] = 1_000_000
    providers: dict[str, _Provider]


@dataclass(frozen=True, slots=True)
class _Priced:
    model: _Model
    table_date: str


@dataclass(slots=True)
class _Section:
    """One provider's part of all tables."""

    also: tuple[str, ...] = ()
    models: dict[str, _Priced] = field(default_factory=dict[str, _Priced])
    names: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, provider: _Provider, table_date: str) -> None:
        self.also += provider.also
        self.models |= {name.lower(): _Priced(model, table_date) for name, model in provider.models.items()}
        self.names |= {name.lower(): other.lower() for name, other in provider.names.items()}

    def find(self, names: Sequence[str]) -> _Priced | None:
        """Return the model of the first name that is known, else that of the longest pattern for one."""
        exact = next((self.models[name] for name in names if name in self.models), None)
        if exact is not None:
            return exact
        patterns = [one for one in self.models if "*" in one and any(fnmatchcase(name, one) for name in names)]
        return self.models[max(patterns, key=len)] if patterns else None


class Prices:
    """Tables as one; where several price the same model of the same provider, the last does."""

    def __init__(self, tables: Sequence[_Table]) -> None:
        self._sections: dict[str, _Section] = {}
        self._canonical: dict[str, str] = {}
        for table in tables:
            for name, provider in table.providers.items():
                self._add(name, provider, (provider.date or table.date).isoformat())
        self._found = lru_cache(maxsize=4096)(self._find)

    def cost(self, provider: str, model: str, usage: Usage) -> Cost | None:
        """Return what a call costs by the table, None where that is not known.

        Args:
            provider: as instrumentations write it: `openai`, `azure.ai.openai`, `aws.bedrock`, `vertexai`; empty if
                unknown, then the name of the model decides.
            model: the model's name, with a date, path, region or version as it may be.
            usage: the tokens of the call.
        """
        if not model or len(model) > _LONGEST_NAME or len(provider) > _LONGEST_NAME:
            return None
        priced = self._found(provider, model)
        return None if priced is None else _cost(priced, usage)

    def _add(self, name: str, provider: _Provider, table_date: str) -> None:
        canonical = self._canonical.setdefault(_plain(name), _plain(name))
        for alias in provider.aliases:
            self._canonical[_plain(alias)] = canonical
        self._sections.setdefault(canonical, _Section()).add(provider, table_date)

    def _find(self, provider: str, model: str) -> _Priced | None:
        names = list(_names(model))
        for section in self._searched(provider):
            names = [section.names.get(name, name) for name in names]
            found = section.find(names)
            if found is not None:
                return found
        return None

    def _searched(self, provider: str) -> Iterator[_Section]:
        """Yield what is known of a provider, then of those whose models it sells."""
        known = self._canonical.get(_plain(provider) or _ANY)
        if known is not None:
            yield self._sections[known]
            others = (self._canonical.get(_plain(other)) for other in self._sections[known].also)
            yield from (self._sections[other] for other in others if other is not None)


def _plain(provider: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", provider.lower())


def _names(model: str) -> Iterator[str]:
    """Yield the names that a model may have in a table, the most exact first."""
    name = model.strip().lower()
    yield name
    name = name.rpartition("/")[2]
    yield name
    name = _VENDOR.sub("", name)
    yield name
    while (shorter := _VERSION.sub("", name)) not in {name, ""}:
        name = shorter
        yield name


def _cost(priced: _Priced, usage: Usage) -> Cost | None:
    counts = _counts(usage)
    if min(counts) < 0 or max(counts) > _MOST_TOKENS or not any(counts):
        return None
    known = _understood(usage, priced.model)
    if known is None:
        return None
    rates = _rates(priced.model, known.input)
    of_input = _cost_of_input(rates, known)
    of_output = _cost_of_output(rates, known)
    return Cost(round(of_input, 12), round(of_output, 12), round(of_input + of_output, 12), priced.table_date)


def _understood(usage: Usage, model: _Model) -> Usage | None:
    """Return `usage` with all parts inside their sums; None where it cannot be priced."""
    if model.output is None:  # an embedding: all tokens are input
        return replace(usage, input=usage.input or usage.total, output=0)
    if not usage.input and not usage.output:
        return None
    cached = usage.cache_read + usage.cache_creation
    beside = usage.total - usage.input - usage.output
    if cached > usage.input or (cached and beside in {cached, cached + usage.reasoning}):
        usage = replace(usage, input=usage.input + cached)
    if usage.reasoning > usage.output or (usage.reasoning and beside in {usage.reasoning, cached + usage.reasoning}):
        usage = replace(usage, output=usage.output + usage.reasoning)
    return usage


def _rates(model: _Model, tokens: int) -> _Rates:
    passed = [tier for tier in model.tiers if tokens > tier.above]
    return max(passed, key=lambda tier: tier.above) if passed else model


def _cost_of_input(rates: _Rates, usage: Usage) -> float:
    for_an_hour = min(usage.cache_creation_1h, usage.cache_creation)
    creation = rates.input if rates.cache_creation is None else rates.cache_creation
    parts = [
        (usage.cache_read, rates.cache_read),
        (usage.cache_creation - for_an_hour, creation),
        (for_an_hour, creation if rates.cache_creation_1h is None else rates.cache_creation_1h),
        (usage.audio_input, rates.audio_input),
    ]
    return _priced_parts(usage.input, rates.input, parts)


def _cost_of_output(rates: _Rates, usage: Usage) -> float:
    parts = [(usage.reasoning, rates.reasoning), (usage.audio_output, rates.audio_output)]
    return _priced_parts(usage.output, rates.output or 0.0, parts)


def _priced_parts(tokens: int, price: float, parts: Sequence[tuple[int, float | None]]) -> float:
    """Return dollars for `tokens`, of which some have their own price; parts beyond the whole are not counted."""
    dollars = 0.0
    for count, own in parts:
        counted = min(count, tokens)
        tokens -= counted
        dollars += counted * (price if own is None else own)
    return (dollars + tokens * price) / 1_000_000


def load_prices(file: Path | None = None) -> Prices:
    """Return the shipped prices, under those of `file`.

    Raises:
        ConfigError: `file` cannot be read or is not a table of prices.
    """
    shipped = msgspec.json.decode(
        resources.files("ganglion_collector").joinpath("prices.json").read_bytes(), type=_Table
    )
    return Prices([shipped] if file is None else [shipped, _read(file)])


def _read(file: Path) -> _Table:
    hint = "see Prices in docs/langsmith.md for its form"
    try:
        return msgspec.json.decode(file.expanduser().read_bytes(), type=_Table)
    except OSError as error:
        raise ConfigError("prices", str(file), error.strerror or str(error), "name a file that can be read") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError("prices", str(file), f"not a table of prices: {error}", hint) from None


@lru_cache(maxsize=1)
def default_prices() -> Prices:
    """Return the shipped prices, under those of the file that GANGLION_PRICES names; read once in a process.

    Raises:
        ConfigError: as from `load_prices`.
    """
    named = os.environ.get("GANGLION_PRICES")
    return load_prices(Path(named) if named else None)


def cost(provider: str, model: str, usage: Usage) -> Cost | None:
    """Return what a call costs by `default_prices`; arguments, result and errors as there and in `Prices.cost`."""
    return default_prices().cost(provider, model, usage)
