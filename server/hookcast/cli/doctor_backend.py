"""The doctor's check of the receivers of webhooks: it connects, and sends nothing that could be taken for one."""

import asyncio
from urllib.parse import urlsplit

from pydantic import SecretStr

from hookcast.cli.findings import Finding, Level, where_of
from hookcast.outgoing import is_proxied, tls_context
from hookcast.settings import PREFIX, Settings
from hookcast.urls import is_loopback

CONNECT_SECONDS = 5.0


async def look(settings: Settings) -> list[Finding]:
    """Return a finding about each receiver that is set."""
    given = {"FORWARD_URL": settings.forward_url, "FORWARD_FAL": settings.forward_fal}
    return [await _receiver(name, url) for name, url in given.items() if url is not None]


async def _receiver(name: str, secret: SecretStr) -> Finding:
    url = secret.get_secret_value()
    where, parts = where_of(url), urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    if is_proxied(url):
        return Finding(Level.OK, name, f"{where} is reached through the proxy that the environment names; not tried")
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            port = parts.port or (443 if tls else 80)
            _, writer = await asyncio.open_connection(host, port, ssl=tls_context() if tls else None)
        writer.transport.abort()
    except (OSError, TimeoutError) as error:
        reason = str(error) or f"no answer within {CONNECT_SECONDS:g} s"
        advice = f"is your backend running, and {PREFIX}{name} its address as this machine reaches it?"
        return Finding(Level.FAIL, name, f"{where} cannot be connected to ({reason}); {advice}")
    if not (tls or is_loopback(host)):
        text = f"{where} accepts connections, without TLS: others on the network could read the jobs; use https"
        return Finding(Level.WARN, name, text)
    return Finding(Level.OK, name, f"{where} accepts connections")
