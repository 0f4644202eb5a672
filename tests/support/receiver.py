"""A backend that receives webhooks, on a real port in the test's own event loop."""

import asyncio
import json
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from support.connections import listening
from support.server import until

ROOT = Path(__file__).parents[2]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
HANG = 0
"""The status of an answer that never comes."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request, and when it came (in the loop's time)."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        """The event's id."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """The body."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verified(self, secret: str = SECRET) -> dict[str, Any]:
        """The body, verified by the official library. Raises WebhookVerificationError."""
        found: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return found


def verdict_of_npm(delivery: Delivery, *, body: bytes | None = None, secret: str = SECRET) -> str:
    """Return what the npm package `standardwebhooks` says of a delivery: the event's type, or the error's name."""
    found = {"secret": secret, "headers": dict(delivery.headers), "body": (body or delivery.body).decode()}
    script = ROOT / "tests" / "clients" / "receive.mjs"
    done = subprocess.run(
        ["node", script], input=json.dumps(found), capture_output=True, text=True, check=True, timeout=60
    )
    return str(done.stdout).strip()


Status = int | tuple[int, Mapping[str, str]]


class Receiver:
    """Answers 200 unless `decide` or the `script` says something else; keeps what came, and counts open requests."""

    def __init__(self, hang_seconds: float | None = None) -> None:
        self._hang_seconds = hang_seconds
        self.url = ""
        self.deliveries: list[Delivery] = []
        self.script: deque[Status] = deque()
        self.decide: Callable[[Delivery], Status] | None = None
        self.open = self.most_open = 0
        self._ended = asyncio.Event()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The bodies so far."""
        return [delivery.event for delivery in self.deliveries]

    async def received(self, count: int) -> list[Delivery]:
        """Wait until so many requests have come; return them."""
        await until(lambda: len(self.deliveries) >= count)
        return self.deliveries

    def end(self) -> None:
        """Cut what hangs."""
        self._ended.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        answered = True
        while answered:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = (line.partition(":") for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in fields}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            delivery = Delivery(head[0].split(" ")[1], headers, body, asyncio.get_running_loop().time())
            answered = await self._answer(delivery, writer)

    async def _answer(self, delivery: Delivery, writer: asyncio.StreamWriter) -> bool:
        self.deliveries.append(delivery)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            found = self.script.popleft() if self.script else (self.decide(delivery) if self.decide else 200)
            status, headers = found if isinstance(found, tuple) else (found, {})
            if status == HANG:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._hang_seconds):
                        await self._ended.wait()
                return False
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"HTTP/1.1 {status} X\r\n{lines}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
        finally:
            self.open -= 1
        return True


@asynccontextmanager
async def running_receiver(hang_seconds: float | None = None, *, port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver inside the block; what hangs is cut after `hang_seconds`, None = at its end."""
    receiver = Receiver(hang_seconds)
    async with listening(receiver.serve, port, limit=64 * 1024 * 1024, backlog=1024) as bound:
        receiver.url = f"http://127.0.0.1:{bound}"
        yield receiver
