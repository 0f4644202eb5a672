"""What `hookcast doctor` finds."""

from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from hookcast import postgres_url


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(Struct, frozen=True):
    """One line of output."""

    level: Level
    subject: str
    text: str
    exit_code: int = 1  # of a failure


def where_of(url: str) -> str:
    """Strip user, password and query from a URL."""
    if url.startswith("postgres"):
        return postgres_url.parse(url).where
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return parts.path[1:]
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
