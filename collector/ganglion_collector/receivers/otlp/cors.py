"""Cross-origin requests from web pages (WHATWG Fetch, CORS protocol)."""

import re
from collections.abc import Mapping

from ganglion_collector.receivers.otlp.config import CorsConfig

__all__ = ["Cors"]

_ALWAYS_ALLOWED = frozenset({"accept", "content-type", "content-encoding", "origin", "x-requested-with"})


class Cors:
    """Decides which origins may send, and tells the browser so."""

    def __init__(self, config: CorsConfig) -> None:
        self._config = config
        self._everyone = "*" in config.allowed_origins
        patterns = (".*".join(map(re.escape, origin.lower().split("*"))) for origin in config.allowed_origins)
        self._origins = [re.compile(pattern) for pattern in patterns]
        self._headers = _ALWAYS_ALLOWED | {header.lower() for header in config.allowed_headers}

    @staticmethod
    def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
        return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers

    def response_headers(self, request: Mapping[str, str]) -> dict[str, str]:
        """Return the headers for the answer to a request; only `Vary` when its origin is not allowed."""
        headers = {"vary": "Origin"}
        origin = request.get("origin", "")
        if not self._allows(origin):
            return headers
        headers["access-control-allow-origin"] = "*" if self._everyone else origin
        if not self._everyone:
            # Browsers refuse credentials together with `*`.
            headers["access-control-allow-credentials"] = "true"
        if self._config.exposed_headers:
            headers["access-control-expose-headers"] = ", ".join(self._config.exposed_headers)
        return headers

    def preflight_headers(self, request: Mapping[str, str]) -> dict[str, str]:
        """Return the headers for the answer to a preflight request; they allow nothing when it asks too much."""
        wanted = [name.strip() for name in request.get("access-control-request-headers", "").split(",") if name.strip()]
        headers = {"vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
        if request.get("access-control-request-method") != "POST" or not self._allows_headers(wanted):
            return headers
        if not self._allows(request.get("origin", "")):
            return headers
        headers = {**self.response_headers(request), **headers, "access-control-allow-methods": "POST"}
        if wanted:
            headers["access-control-allow-headers"] = ", ".join(wanted)
        if self._config.max_age:
            headers["access-control-max-age"] = str(self._config.max_age)
        return headers

    def _allows(self, origin: str) -> bool:
        return bool(origin) and any(pattern.fullmatch(origin.lower()) for pattern in self._origins)

    def _allows_headers(self, wanted: list[str]) -> bool:
        return "*" in self._headers or all(name.lower() in self._headers for name in wanted)
