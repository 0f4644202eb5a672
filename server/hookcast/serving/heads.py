"""Limits of a request head, and the check of its Host; pure."""

import re
from collections.abc import Sequence

from hookcast.errors import BadRequest, HeadTooLarge, HookcastError, UrlTooLong

MAX_HEAD_BYTES = 64 * 1024  # h11 and Node allow 16 KiB, nginx four times 8 KiB
MAX_URL_BYTES = 16 * 1024  # part of the head: 200 requestIds of 36 characters take 10 KiB
MAX_HEADERS = 100  # Apache's default
_HOST = re.compile(rb"(\[[\w.:%-]+\]|[\w.~!$&'()*+,;=%-]*)(:[0-9]*)?", re.ASCII)  # RFC 3986 section 3.2.2

Headers = Sequence[tuple[bytes, bytes]]


def oversize(url: bytes, headers: Headers, received: int) -> HookcastError | None:
    """Return the error if a head exceeds a limit. Its size is computed only once enough data was `received`."""
    if len(url) > MAX_URL_BYTES:
        return UrlTooLong(f"A URL may have at most {MAX_URL_BYTES} bytes.")
    size = 0
    if received > MAX_HEAD_BYTES:
        size = len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
    return too_large() if size > MAX_HEAD_BYTES or len(headers) > MAX_HEADERS else None


def wrong_host(headers: Headers, version: str) -> HookcastError | None:
    """Return the error unless there is one valid Host header (RFC 9112 section 3.2); HTTP/1.0 needs none."""
    hosts = [value for name, value in headers if name == b"host"]
    if not hosts and version == "1.0":
        return None
    return (
        None
        if len(hosts) == 1 and _HOST.fullmatch(hosts[0])
        else BadRequest("A request must have exactly one valid Host header.")
    )


def too_large() -> HeadTooLarge:
    """Return the error for a head that is too large."""
    return HeadTooLarge(f"A request head may have at most {MAX_HEAD_BYTES // 1024} KiB and {MAX_HEADERS} headers.")
