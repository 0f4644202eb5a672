"""A test double of fal: an httpx transport with scripted responses, and a signer of webhooks."""

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
from nacl.signing import SigningKey

from hookcast.fal import signature

QUEUE = "https://queue.fal.test"
JWKS = "https://rest.fal.test/jwks.json"
ENDPOINT = "fal-ai/flux/dev"


class LiveStream(httpx.AsyncByteStream):
    """A status stream that stays open until the test breaks or ends it, or the client closes it."""

    def __init__(self) -> None:
        self.opened = False
        self.closed = False
        self.idle = False
        self._parts: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def tell(self, *statuses: dict[str, Any]) -> None:
        """Send statuses in one chunk."""
        self.idle = False
        self._parts.put_nowait("".join(f"data: {json.dumps(status)}\n\n" for status in statuses).encode())

    def end(self, error: Exception | None = None) -> None:
        """End the stream, or break it with an error."""
        self._parts.put_nowait(error)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks; implements httpx's interface."""
        while True:
            self.idle = self._parts.empty()  # the reader has processed everything sent so far
            part = await self._parts.get()
            if isinstance(part, Exception):
                raise part
            if part is None:
                return
            yield part

    async def aclose(self) -> None:
        """Record that the client has closed the stream."""
        self.closed = True


Answer = httpx.Response | Exception | LiveStream


def jwk(key: SigningKey, *, padded: bool = False) -> dict[str, str]:
    """Return the public key as fal publishes it."""
    x = base64.urlsafe_b64encode(bytes(key.verify_key)).decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x if padded else x.rstrip("=")}


def sign(
    body: bytes, key: SigningKey, *, timestamp: float | None = None, request_id: str = "r", user_id: str = "user-1"
) -> dict[str, str]:
    """Return the four signature headers for `body`."""
    seconds = str(int(time.time() if timestamp is None else timestamp))
    message = signature.signed_message(request_id=request_id, user_id=user_id, timestamp=seconds, body=body)
    return {
        signature.REQUEST_ID: request_id,
        signature.USER_ID: user_id,
        signature.TIMESTAMP: seconds,
        signature.SIGNATURE: key.sign(message).signature.hex(),
    }


def forged() -> dict[str, str]:
    """Return signature headers of the right form, which anybody can make."""
    return sign(b"", SigningKey.generate())


class FalDouble(httpx.AsyncBaseTransport):
    """Responds by the end of the URL's path, in the order of `script`; records the requests."""

    def __init__(self) -> None:
        self.key = SigningKey.generate()
        self.keys = [SigningKey.generate(), self.key]
        self.down = False
        self.gate = asyncio.Event()  # while it is clear, fal hangs
        self.gate.set()
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, deque[Answer]] = {}

    def script(self, path_end: str, *answers: Answer) -> None:
        """Set the responses to the next requests whose path ends so; the last one repeats."""
        self._answers[path_end] = deque(answers)

    def asked(self, path_end: str) -> list[httpx.Request]:
        """Return the requests so far whose path ends so."""
        return [request for request in self.requests if request.url.path.endswith(path_end)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Respond to a request; implements httpx's interface."""
        self.requests.append(request)
        if self.down:
            raise httpx.ConnectError("fal is down")
        await self.gate.wait()
        for end, answers in self._answers.items():
            if request.url.path.endswith(end):
                answer = answers.popleft() if len(answers) > 1 else answers[0]
                if isinstance(answer, Exception):
                    raise answer
                if isinstance(answer, LiveStream):
                    answer.opened = True
                    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=answer)
                return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        if str(request.url) == JWKS:
            return httpx.Response(200, json={"keys": [jwk(key) for key in self.keys]})
        return httpx.Response(404, json={"detail": "Not found"})

    def webhook(self, request_id: str, **fields: Any) -> bytes:
        """Return the body of a job's webhook: a success unless `fields` override it."""
        base = {"request_id": request_id, "gateway_request_id": request_id, "status": "OK", "error": None}
        return json.dumps({**base, "payload": {"seed": 12345678901234567890}, **fields}).encode()


def sse_answer(*statuses: dict[str, Any]) -> httpx.Response:
    """Return a complete status stream as one response."""
    lines = "".join(f"data: {json.dumps(status)}\n\n" for status in statuses)
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=lines.encode())


Signer = Callable[[bytes], dict[str, str]]
