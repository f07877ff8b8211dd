"""What the exporters that send by HTTP share: their client, and what a URL must be."""

from collections.abc import Mapping

import httpx
from ganglion_collector.tls import TLSClientConfig, client_context
from pydantic import SecretStr

__all__ = ["checked_url", "new_client"]


def new_client(headers: Mapping[str, str], tls: TLSClientConfig, proxy_url: SecretStr | None) -> httpx.AsyncClient:
    """Return a client that keeps connections, follows no redirect and has no limit in time: callers limit attempts."""
    return httpx.AsyncClient(
        headers=headers,
        verify=client_context(tls),
        proxy=proxy_url.get_secret_value() if proxy_url else None,
        timeout=None,  # noqa: S113 - one limit for the whole attempt
        follow_redirects=False,
    )


def checked_url(endpoint: str, hint: str) -> httpx.URL:
    """Return `endpoint` as a URL of HTTP.

    Raises:
        ValueError: it is none; the text ends with `hint`.
    """
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL as error:
        raise ValueError(f"not a URL: {error}; {hint}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"not a URL; {hint}")
    return url
