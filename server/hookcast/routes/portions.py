"""Responses larger than what one client may hold: read and written in pieces, as the client takes them."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hookcast.errors import JobNotFound
from hookcast.push import Engine
from hookcast.push.shared import cost
from hookcast.store import Outline
from hookcast.wire import State, encode

PIECE_BYTES = 64 * 1024
CHUNK = 50  # jobs read at once for a list
Pieces = AsyncGenerator[bytes, None]


class PiecesResponse(Response):
    """A JSON response in pieces. A server's `send` returns once the client has taken enough of the pieces before."""

    def __init__(self, pieces: Pieces, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", **(headers or {})}, media_type="application/json")
        del self.headers["content-length"]
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the head once there is a piece, then each piece; implements the ASGI interface."""
        async with aclosing(self._pieces) as pieces:
            first = await anext(pieces)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await _send_cut(send, first)
            async for piece in pieces:
                await _send_cut(send, piece)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_cut(send: Send, piece: bytes) -> None:
    for start in range(0, len(piece), PIECE_BYTES):
        body = piece[start : start + PIECE_BYTES]
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def at_hand(body: bytes) -> Pieces:
    """Yield a whole body."""
    yield body


async def listing(engine: Engine, request_ids: list[str], cursor: str | None) -> Pieces:
    """Yield a page of jobs. Raises StoreUnavailable."""
    before = b'{"jobs":['
    for start in range(0, len(request_ids), CHUNK):
        for outline in await engine.subscriptions.outlines(request_ids[start : start + CHUNK]):
            async with reading(engine, outline) as state:
                if state is not None:
                    yield before + state.body
                    before = b","
    yield (b"" if before == b"," else before) + b'],"nextCursor":%b}' % msgspec.json.encode(cursor)


async def large(engine: Engine, outline: Outline) -> Pieces:
    """Yield the state of a large job. Raises StoreUnavailable, and JobNotFound if it has been removed."""
    async with reading(engine, outline) as state:
        if state is None:
            raise JobNotFound(outline.job.request_id)
        yield state.body


@asynccontextmanager
async def reading(engine: Engine, outline: Outline) -> AsyncIterator[State | None]:
    """Yield the whole state, None if the job has been removed. A large one is read when it is its turn."""
    if not outline.left_out:
        yield encode(outline.job)
        return
    async with engine.answers.turn(cost(outline.left_out)):
        job = await engine.subscriptions.whole(outline.job.request_id)
        yield None if job is None else encode(job)
