"""POST /api/tokens: mint stream tokens for browsers, at the request of the user's own backend."""

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action, Grant, mint
from hookcast.errors import InvalidRequest, NoTokenSecret
from hookcast.labels import Label
from hookcast.problems import json_response
from hookcast.routes.credentials import authorize
from hookcast.routes.requests import read_json
from hookcast.routes.services import Services, services
from hookcast.strength import MAX_TOKEN_SECONDS
from hookcast.wire import rfc3339

MAX_BODY_BYTES = 64 * 1024
DEFAULT_SECONDS = 3600
_Labels = Annotated[list[Label], Meta(max_length=200)]


class TokenRequest(Struct, rename="camel", forbid_unknown_fields=True):
    """The body: what the token shows, and its lifetime in seconds."""

    sub: Label | None = None
    jobs: _Labels = []
    groups: _Labels = []
    expires_in: Annotated[int, Meta(ge=1, le=MAX_TOKEN_SECONDS)] = DEFAULT_SECONDS


async def make_token(request: Request) -> Response:
    """Handle POST /api/tokens: mint a stream token."""
    node = services(request)
    await authorize(request, Action.MINT)
    wanted = await read_json(request, TokenRequest, MAX_BODY_BYTES)
    if wanted.sub is None and not wanted.jobs and not wanted.groups:
        raise InvalidRequest("Set what the token shows: sub (an owner), jobs or groups.")
    if not node.settings.secrets and not node.engine.gate.open:
        raise NoTokenSecret("Set HOOKCAST_TOKEN_SECRET, for instance to the output of `openssl rand -hex 32`.")
    grant = Grant(sub=wanted.sub, jobs=frozenset(wanted.jobs), groups=frozenset(wanted.groups))
    return json_response(issue(node, grant, timedelta(seconds=wanted.expires_in)), 201)


def issue(node: Services, grant: Grant, lifetime: timedelta) -> dict[str, str | None]:
    """Return `token` and `expiresAt`, both None if the server has no secret."""
    if not node.settings.secrets:
        return {"token": None, "expiresAt": None}
    expires_at: datetime = (node.clock() + lifetime).replace(microsecond=0)
    return {"token": mint(grant, node.settings.secrets[0], expires_at=expires_at), "expiresAt": rfc3339(expires_at)}
