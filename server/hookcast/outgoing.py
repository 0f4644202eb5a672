"""Outgoing HTTP: through the proxies that the environment names, but never for loopback; with its certificates."""

import functools
import os
import ssl
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from hookcast.errors import SettingsError

_HERE = ("localhost", "127.0.0.1", "::1")
NEVER_PROXIED = ("all://localhost", "all://127.0.0.1", "all://[::1]")


def http_client(**options: Any) -> httpx.AsyncClient:
    """Create a client with httpx's `options`. Raises SettingsError when the environment's proxies or CAs fail."""
    tls = tls_context()
    try:
        return httpx.AsyncClient(mounts=dict.fromkeys(NEVER_PROXIED), verify=tls, **options)
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise SettingsError(
            f"A proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY) cannot be used: {error}"
        ) from error


def check_environment() -> None:
    """Raise SettingsError unless the proxies and CAs that the environment names can be used."""
    http_client()


def tls_context() -> ssl.SSLContext:
    """Return the TLS settings of all outgoing connections. Raises SettingsError when the environment's CAs fail.

    By itself, httpx makes them anew for each client. With all the CAs, that takes 30 ms and 0.8 MiB.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        return _tls_context(file, folder)
    except (OSError, ValueError) as error:
        name = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
        raise SettingsError(f"{name}={file or folder} cannot be used as certificates: {error}") from error


@functools.cache
def _tls_context(*_environment: str | None) -> ssl.SSLContext:
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
