"""The callers that the configuration names, in itself or in a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ganglion_collector.extensions.query import QueryConfig, QueryTokenConfig, parse_tokens
from ganglion_collector.watched_file import WatchedFile

from ganglion_query.api.access import Caller, Callers
from ganglion_query.reader import Scope

__all__ = ["callers_of"]


def callers_of(config: QueryConfig) -> Callers:
    """Return who may ask.

    Raises:
        ValueError: the file of tokens cannot be read.
    """
    if not config.has_tokens:
        return Callers(None)
    inline = _callers(config.tokens)
    if not config.tokens_file:
        return Callers(lambda: inline)
    file = WatchedFile(Path(config.tokens_file), lambda text: _callers(parse_tokens(text)))
    return Callers(_both(inline, file.content))


def _both(inline: Sequence[Caller], from_file: Callable[[], Sequence[Caller]]) -> Callable[[], Sequence[Caller]]:
    return lambda: (*inline, *from_file())


def _callers(tokens: Sequence[QueryTokenConfig]) -> Sequence[Caller]:
    return [Caller(Callers.digest(one.token.get_secret_value()), Scope(one.tenants)) for one in tokens]
