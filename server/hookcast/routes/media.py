"""Serve the kept files of a directory: `GET /media/{folder}/{name}`, with ranges, ETag and conditional requests.

Links to them work like fal's own: whoever has one can read the file. Their names contain a hash of the content.
"""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from hookcast.media.storage import INCOMING
from hookcast.media.types import type_of_name

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
        """Return a file. Raises HTTPException 404 for a draft, as for a file that does not exist."""
        if path.partition("/")[0] in {"", ".", INCOMING}:
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        if "Content-Type" in response.headers:  # not in a 304
            kind = type_of_name(path)
            shown = "inline" if kind.startswith(_SHOWN) else "attachment"
            response.headers["Content-Type"] = kind
            response.headers["Content-Disposition"] = f'{shown}; filename="{path.rpartition("/")[2]}"'
        return response
