"""Serve the web build: the demo page, the browser library and the npm package."""

from fnmatch import fnmatchcase
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from hookcast.problems import problem

LIBRARY = "hookcast.js"
PARTS = "hookcast*.js"  # including the chunks the library loads, whose names contain a content hash
PACKAGE = "hookcast.tgz"  # `npm install http://…/hookcast.tgz`
NEEDS_BUILD = {".", "", LIBRARY, PACKAGE}
FOREVER = "public, max-age=31536000, immutable"
STATIC = Path(__file__).parent.parent / "static"
_POLICY = "default-src 'self'; img-src * data:; media-src *; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"


class Pages(StaticFiles):
    """Static files of the web build. The page may load media from any host, since fal decides where they are."""

    def __init__(self, directory: Path = STATIC) -> None:
        super().__init__(directory=directory, html=True, check_dir=False)

    async def check_config(self) -> None:
        """Skip the check for the folder: `get_response` handles a page that was not built."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or a problem that says how to build it."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code == 404 and path in NEEDS_BUILD:
                return problem(404, "page_not_built", "The page is not built", "Build the page first: make run.")
            if error.status_code == 405 and path not in NEEDS_BUILD:  # a path without a file takes no method at all
                await super().get_response(path, {**scope, "method": "HEAD"})
            raise
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        if fnmatchcase(path, PARTS):
            # Other origins load module scripts with CORS (WHATWG HTML section 8.1.4.2).
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Cache-Control"] = "no-cache" if path == LIBRARY else FOREVER
        if path == PACKAGE:
            response.headers["Cache-Control"] = "no-cache"
            if "Content-Type" in response.headers:  # not in a 304
                response.headers["Content-Type"] = "application/gzip"
        return response
