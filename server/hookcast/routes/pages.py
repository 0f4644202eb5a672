"""The demo page, the browser library and the npm package, as the web build made them."""

from fnmatch import fnmatchcase
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from hookcast.problems import problem

LIBRARY = "hookcast.js"
PARTS = "hookcast*.js"  # with those that the library loads itself, whose names change with their content
PACKAGE = "hookcast.tgz"  # `npm install http://…/hookcast.tgz`
NEEDS_BUILD = {".", "", LIBRARY, PACKAGE}
FOREVER = "public, max-age=31536000, immutable"
STATIC = Path(__file__).parent.parent / "static"
_POLICY = "default-src 'self'; img-src * data:; media-src *; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"


class Pages(StaticFiles):
    """Files of the page; its media come from wherever fal stores them."""

    def __init__(self, directory: Path = STATIC) -> None:
        super().__init__(directory=directory, html=True, check_dir=False)

    async def check_config(self) -> None:
        """A page that was not built is an answer, see below, and no fault of the server."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file, or what to do when it was never built."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code == 404 and path in NEEDS_BUILD:
                return problem(404, "page_not_built", "The page is not there", "Build the page first: make run.")
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
