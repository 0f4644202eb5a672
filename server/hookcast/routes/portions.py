"""Responses larger than the memory for one client: read and written in pieces, as fast as the client takes them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hookcast.errors import JobNotFound, StoreUnavailable
from hookcast.push import Engine
from hookcast.push.shared import cost
from hookcast.store import Outline

PIECE_BYTES = 64 * 1024
CHUNK = 50  # jobs read at once for a list
PATIENCE_SECONDS = 1.0  # for a client to take a piece, before another one gets its turn
Write = Callable[[bytes], Awaitable[None]]


class PiecesResponse(Response):
    """A JSON response that `content` writes. The head is sent with the first piece, so that errors before it count."""

    def __init__(
        self, content: Callable[[Write], Awaitable[None]], headers: Mapping[str, str] | None = None, status: int = 200
    ) -> None:
        super().__init__(
            status_code=status, headers={"Cache-Control": "no-store", **(headers or {})}, media_type="application/json"
        )
        del self.headers["content-length"]
        self._content = content
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the response; implements the ASGI interface."""

        async def write(data: bytes) -> None:
            if not self._begun:
                self._begun = True
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, len(data), PIECE_BYTES):  # a server's `send` waits while the client is behind
                piece = data[start : start + PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})

        await self._content(write)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def write_list(engine: Engine, request_ids: list[str], cursor: str | None, write: Write) -> None:
    """Write a page of jobs. Raises StoreUnavailable."""
    before = b'{"jobs":['
    for start in range(0, len(request_ids), CHUNK):
        for outline in await engine.subscriptions.outlines(request_ids[start : start + CHUNK]):
            if not outline.left_out:
                await write(before + engine.show(outline.job).body)
            elif not await _write_large(engine, outline, write, before):
                continue
            before = b","
    await write((b"" if before == b"," else before) + b'],"nextCursor":%b}' % msgspec.json.encode(cursor))


async def write_large(engine: Engine, outline: Outline, write: Write, before: bytes = b"") -> None:
    """Write the state of a large job after `before`. Raises StoreUnavailable, and JobNotFound if it is gone."""
    if not await _write_large(engine, outline, write, before):
        raise JobNotFound(outline.job.request_id)


async def _write_large(engine: Engine, outline: Outline, write: Write, before: bytes) -> bool:
    """Read a job when it is its turn, and write it after `before`. Return False if it has been removed.

    A slow client loses its turn; the rest is read again once it has taken what was already written.
    """
    sent, known = 0, 0
    while True:
        async with engine.answers.turn(cost(outline.left_out)):
            job = await engine.subscriptions.whole(outline.job.request_id)
            body = b"" if job is None else before + engine.show(job).body
            if sent and hash(body) != known:
                raise StoreUnavailable("The job changed while it was sent.")
            size, known = len(body), hash(body)
            sent, writing = await _write_on(body, sent, write)
            del body, job
        if writing is not None:
            await writing
        if sent == size:
            return size > 0


async def _write_on(body: bytes, sent: int, write: Write) -> tuple[int, asyncio.Future[None] | None]:
    """Write until a piece is not taken in time. Return the number of bytes written, and that piece's write."""
    while sent < len(body):
        piece = body[sent : sent + PIECE_BYTES]
        writing = asyncio.ensure_future(write(piece))
        sent += len(piece)
        try:
            await asyncio.wait({writing}, timeout=PATIENCE_SECONDS)
        except asyncio.CancelledError:
            writing.cancel()
            raise
        if not writing.done():
            return sent, writing
        writing.result()
    return sent, None
