"""Serve the kept files of a directory: `GET /media/{folder}/{name}`, with ranges, ETag and conditional requests.

Links to them work like fal's own: whoever has one can read the file. Their names contain a hash of the content.
"""

import re
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from hookcast.media.storage import INCOMING
from hookcast.media.types import type_of_name

_RANGE = re.compile(r"([0-9]{1,15})-([0-9]{1,15})?|-([0-9]{1,15})", re.ASCII)
FOREVER = "public, max-age=31536000, immutable"
_SHOWN = ("image/", "video/", "audio/", "application/pdf")
_HEADERS = {
    "Cache-Control": FOREVER,
    "X-Content-Type-Options": "nosniff",
    # A file may be an SVG: nothing in it runs, and it cannot reach this origin.
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; media-src 'self'",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
}


class KeptFiles(StaticFiles):
    """The files of a directory, without drafts."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, check_dir=False)

    async def check_config(self) -> None:
        """Skip the check for the directory: the first copy creates it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file. Raises HTTPException: 404 for a draft, as for a file that does not exist; 416."""
        if path.partition("/")[0] in {"", ".", INCOMING}:
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        if "Content-Type" in response.headers:  # not in a 304
            _check_ranges(scope, int(response.headers["Content-Length"]))
            kind = type_of_name(path)
            shown = "inline" if kind.startswith(_SHOWN) else "attachment"
            response.headers["Content-Type"] = kind
            response.headers["Content-Disposition"] = f'{shown}; filename="{path.rpartition("/")[2]}"'
        return response


def _check_ranges(scope: Scope, size: int) -> None:
    """Raise HTTPException 416 if a request asks for no byte of a file, and forget a Range that Starlette would refuse.

    RFC 9110 section 14.2: a server ignores one of another unit, and may ignore any other.
    """
    headers = Headers(scope=scope)
    given = headers.get("range")
    if given is None:
        return
    ranges = _ranges(given, size)
    if ranges and not any(ranges) and "if-range" not in headers:
        raise HTTPException(416, f"The file has {size} bytes.", {"Content-Range": f"bytes */{size}"})
    if not (ranges and all(ranges)):
        scope["headers"] = [line for line in scope["headers"] if line[0] != b"range"]


def _ranges(header: str, size: int) -> list[range]:
    """Return the positions that a Range header asks for, those of the file only; none if it is malformed."""
    unit, _, listed = header.partition("=")
    found = [_RANGE.fullmatch(part.strip()) for part in listed.split(",")]
    if unit.strip().lower() != "bytes" or not all(found):
        return []
    ranges = []
    for first, last, suffix in (match.groups() for match in found if match):
        if last and int(last) < int(first):
            return []
        start = max(size - int(suffix), 0) if suffix else int(first)
        ranges.append(range(start, min(int(last) + 1, size) if last else size))
    return ranges
