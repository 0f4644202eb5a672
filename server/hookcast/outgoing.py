"""Outgoing HTTP: through the proxies that the environment names, but never for loopback; with its certificates."""

import functools
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from hookcast.errors import SettingsError

_HERE = ("localhost", "127.0.0.1", "::1")
NEVER_PROXIED = ("all://localhost", "all://127.0.0.1", "all://[::1]")


def http_client(**options: Any) -> httpx.AsyncClient:
    """Create a client with httpx's `options`. Raises SettingsError when the environment's proxies or CAs fail."""
    with _settings():
        return httpx.AsyncClient(mounts=dict.fromkeys(NEVER_PROXIED), **options)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS settings of connections without httpx: the same CAs. Raises SettingsError when they fail."""
    with _settings():
        return httpx.create_ssl_context()


def is_proxied(url: str) -> bool:
    """Return whether requests to the URL go through a proxy that the environment names."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    named = urllib.request.getproxies()
    return host not in _HERE and not urllib.request.proxy_bypass(host) and bool({parts.scheme, "all"} & named.keys())


def retry_after(headers: Mapping[str, str], most: float) -> float:
    """Return the seconds of a Retry-After (RFC 9110 section 10.2.3), at most `most`; 0 for none, or for a date."""
    text = headers.get("retry-after", "")
    return min(float(text), most) if text.isascii() and text.isdigit() else 0.0


@contextmanager
def _settings() -> Iterator[None]:
    try:
        yield
    except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
        raise SettingsError(
            "A proxy or certificate file named in the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY, "
            f"SSL_CERT_FILE, …) cannot be used: {error}"
        ) from error
