"""405 for known paths and methods they do not accept (RFC 9110 section 15.5.6)."""

from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from hookcast.routes.credentials import WEBHOOK_PATH

_FALS = "fal sends its webhooks there, signed."


class WrongMethods(BaseRoute):
    """A route after `routes`: it handles requests that match one of them except for the method."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = [route for route in routes if isinstance(route, Route)]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match requests whose path is known."""
        return (Match.FULL if self._allowed(scope) else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Raise the 405, which names the methods that the path accepts."""
        path, allowed = scope["path"], ", ".join(self._allowed(scope))
        hint = f" {_FALS}" if path == WEBHOOK_PATH else ""
        raise HTTPException(405, f"{path} accepts {allowed}, not {scope['method']}.{hint}", {"Allow": allowed})

    def _allowed(self, scope: Scope) -> list[str]:
        if scope["type"] != "http":
            return []
        found = [route for route in self._routes if route.matches(scope)[0] is not Match.NONE]
        return sorted({method for route in found if route.path == found[0].path for method in route.methods or ()})
