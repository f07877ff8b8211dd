"""The four ids as W3C baggage: to the origins that the settings allow, and from requests where the settings trust them.

A propagator does not know where a request goes, and a client that follows a redirect takes the headers along. So the
ids are put on, or taken off, where each single request leaves: urllib3 (and so requests), httpx and httpx2. The
global propagator is told to leave them alone: neither does an id that came in go on to whoever is called, nor does one
that an application has put into the baggage itself. All other baggage is as OTEL_PROPAGATORS has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from copy import copy
from types import ModuleType
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import quote, urlsplit

import wrapt
from opentelemetry import baggage, propagate
from opentelemetry.context import Context, create_key, get_current, get_value, set_value
from opentelemetry.propagators import textmap

from ganglion.context import ATTRIBUTES, fields

__all__ = ["install", "received", "uninstall"]

_CarrierT = TypeVar("_CarrierT")
_HEADER = "baggage"
_LONGEST = 128
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIELD_OF = {attribute: field for field, attribute in ATTRIBUTES.items()}
_RECEIVED = create_key("ganglion-received-baggage")

_Origin: TypeAlias = tuple[str, str, int]
_Headers: TypeAlias = MutableMapping[str, str]
_origins: frozenset[_Origin | None] = frozenset()
_gates: set[str] = set()


def install(origins: Sequence[str] = (), *, trust: bool = False) -> None:
    """Send the ids to `origins` (`scheme://host[:port]`) only, and take them from requests if `trust`; safe twice."""
    global _origins  # noqa: PLW0603 - one process has one configuration
    _origins = frozenset(_origin(one) for one in origins)
    inner = propagate.get_global_textmap()
    if isinstance(inner, _Guard):
        inner = inner.inner
    propagate.set_global_textmap(_Guard(inner, trust=trust))
    gates = (("urllib3.connectionpool", _gate_urllib3), ("httpx", _gate_httpx), ("httpx2", _gate_httpx))
    for module, gate in gates:
        if module not in _gates:
            _gates.add(module)
            wrapt.register_post_import_hook(gate, module)


def uninstall() -> None:
    """Leave the baggage to the propagator again, and send no ids; safe twice and without `install`."""
    global _origins  # noqa: PLW0603 - as above
    _origins = frozenset()
    inner = propagate.get_global_textmap()
    if isinstance(inner, _Guard):
        propagate.set_global_textmap(inner.inner)


def received(context: Context | None = None) -> Mapping[str, str]:
    """Return the fields that came as baggage with the request of `context`: none unless the settings trust it."""
    return cast("Mapping[str, str] | None", get_value(_RECEIVED, context)) or {}


class _Guard(textmap.TextMapPropagator):
    """The configured propagator, but for the four ids in the baggage."""

    def __init__(self, inner: textmap.TextMapPropagator, *, trust: bool) -> None:
        self.inner = inner
        self._trust = trust

    def extract(
        self,
        carrier: _CarrierT,
        context: Context | None = None,
        getter: textmap.Getter[_CarrierT] = textmap.default_getter,
    ) -> Context:
        """Extract all; the ids leave the baggage, for `received` where they are trusted."""
        context = self.inner.extract(carrier, context, getter)
        found = {
            field: value
            for name, field in _FIELD_OF.items()
            if isinstance(value := baggage.get_baggage(name, context), str) and _is_identifier(value)
        }
        context = _without_ids(context)
        return set_value(_RECEIVED, found, context) if found and self._trust else context

    def inject(
        self,
        carrier: _CarrierT,
        context: Context | None = None,
        setter: textmap.Setter[_CarrierT] = textmap.default_setter,
    ) -> None:
        """Inject all but the ids."""
        self.inner.inject(carrier, _without_ids(get_current() if context is None else context), setter)

    @property
    def fields(self) -> set[str]:
        """Return the header names of the configured propagator."""
        return self.inner.fields


def _without_ids(context: Context) -> Context:
    for name in _FIELD_OF:
        if name in baggage.get_all(context):
            context = baggage.remove_baggage(name, context)
    return context


def _is_identifier(value: str) -> bool:
    return 0 < len(value) <= _LONGEST and value.isprintable()


def _origin(url: str) -> _Origin | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None  # whoever sends this request will say what is wrong with it
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").rstrip("."), port or _DEFAULT_PORTS.get(scheme, 0)


def _member(header: str | None, origin: _Origin | None) -> str | None:
    """Return the baggage header of a request to `origin`: the others' members of `header`, and the ids if allowed."""
    members = [one for one in (header or "").split(",") if one.strip() and _name(one) not in _FIELD_OF]
    if origin is not None and origin in _origins:
        bound = fields()
        members += [f"{name}={quote(bound[field])}" for name, field in _FIELD_OF.items() if field in bound]
    return ",".join(members) or None


def _name(member: str) -> str:
    return member.partition("=")[0].partition(";")[0].strip()


def _rewritten(headers: _Headers, url: str) -> _Headers:
    """Return the headers for a request to `url`: the same object where nothing changes."""
    names = [name for name in headers if name.lower() == _HEADER]
    before = ",".join(str(headers[name]) for name in names) or None
    after = _member(before, _origin(url))
    if after == before:
        return headers
    headers = copy(headers)
    for name in names:
        del headers[name]
    if after is not None:
        headers[_HEADER] = after
    return headers


def _wrap_innermost(owner: type, name: str, wrapper: Callable[..., object]) -> None:
    """Wrap a method beneath the wrappers that are there: what an instrumentation adds to a request is seen too.

    And an instrumentation that is taken off takes off the outermost wrapper, which must be its own.
    """
    method: Any = owner.__dict__[name]
    if not _is_wrapped(method):
        setattr(owner, name, wrapt.FunctionWrapper(method, wrapper))
        return
    while _is_wrapped(method.__wrapped__):
        method = method.__wrapped__
    method.__wrapped__ = wrapt.FunctionWrapper(method.__wrapped__, wrapper)


def _is_wrapped(method: Any) -> bool:
    return isinstance(method, wrapt.FunctionWrapper)


def _gate_urllib3(module: ModuleType) -> None:
    _wrap_innermost(module.HTTPConnectionPool, "urlopen", _through_urllib3)


def _through_urllib3(
    urlopen: Callable[..., object], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> object:
    url = str(kwargs["url"] if "url" in kwargs else args[1])
    if not url.lower().startswith(("http://", "https://")):  # with a proxy it is whole
        host = f"[{pool.host}]" if ":" in pool.host else pool.host
        url = f"{pool.scheme}://{host}:{pool.port}"
    given = kwargs["headers"] if "headers" in kwargs else args[3] if len(args) > 3 else None
    headers = _rewritten(pool.headers if given is None else given, url)
    if len(args) > 3:
        return urlopen(*args[:3], headers, *args[4:], **kwargs)
    return urlopen(*args, **{**kwargs, "headers": headers})


def _gate_httpx(module: ModuleType) -> None:
    _wrap_innermost(module.HTTPTransport, "handle_request", _through_httpx)
    _wrap_innermost(module.AsyncHTTPTransport, "handle_async_request", _through_httpx)


def _through_httpx(
    handle: Callable[..., object], _transport: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> object:
    request = kwargs["request"] if "request" in kwargs else args[0]
    request.headers = _rewritten(request.headers, str(request.url))
    return handle(*args, **kwargs)
