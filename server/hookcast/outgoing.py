"""Outgoing HTTP: through the proxies that the environment names, but never for loopback."""

from typing import Any

import httpx

from hookcast.errors import SettingsError

NEVER_PROXIED = ("all://localhost", "all://127.0.0.1", "all://[::1]")


def http_client(**options: Any) -> httpx.AsyncClient:
    """Create a client with httpx's `options`. Raises SettingsError when the environment's proxies or CAs fail."""
    try:
        return httpx.AsyncClient(mounts=dict.fromkeys(NEVER_PROXIED), **options)
    except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
        raise SettingsError(
            "A proxy or certificate file named in the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY, "
            f"SSL_CERT_FILE, …) cannot be used: {error}"
        ) from error
