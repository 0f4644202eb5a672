"""What `hookcast doctor` finds with given settings."""

from typing import Any

from hookcast.cli.doctor import examine
from hookcast.cli.findings import Finding
from hookcast.settings import Settings
from support.fal import JWKS, QUEUE, FalDouble


async def findings(fal: FalDouble, database: str, /, **settings: Any) -> dict[str, Finding]:
    """By subject."""
    base = {"database_url": database, "fal_queue_url": QUEUE, "fal_jwks_url": JWKS, "fal_key": "id:secret-0"}
    return {found.subject: found async for found in examine(Settings(**{**base, **settings}), transport=fal)}
