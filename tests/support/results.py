"""Jobs whose results name generated files, their host, and what must be in the storage at the end."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from hookcast.emulator import file_content
from hookcast.emulator.content import Content
from hookcast.media.storage import INCOMING, key_of
from support.buckets import Bucket
from support.chaos import Chaos
from support.fal import sign

TYPE, EXTENSION = "video/webm", "webm"
SMALL, LARGE = 1_000_000, 9_000_000  # bytes; a large one is uploaded to a bucket while it comes


@dataclass(frozen=True, slots=True)
class Result:
    """A job and the sizes of its files."""

    name: str
    sizes: tuple[int, ...]

    def content(self, place: int) -> Content:
        """The content of a file."""
        return file_content(self.name, place, content_type=TYPE, size=self.sizes[place])

    def webhook(self, host: str) -> bytes:
        """The webhook that ends the job."""
        videos = [
            {"url": f"{host}/files/{self.name}/{place}", "content_type": TYPE} for place in range(len(self.sizes))
        ]
        return json.dumps({"request_id": self.name, "status": "OK", "payload": {"videos": videos}}).encode()


def results(count: int, per_job: int, random: Random) -> list[Result]:
    """`count` files of all sizes, some of them large."""

    def size() -> int:
        return LARGE if random.random() < 0.03 else int(SMALL ** random.uniform(0.3, 1.0))

    return [Result(f"job-{number}", tuple(size() for _ in range(per_job))) for number in range(count // per_job)]


class Host:
    """fal's host of files: an ASGI endpoint. `faults` is the probability that it cuts a response at a random byte.

    `begun` counts the responses, `open` those that have not ended.
    """

    def __init__(self, found: list[Result], random: Random, *, piece_seconds: float = 0.0, faults: float = 0.0) -> None:
        self.url = ""
        self.results = found
        self._by_name = {result.name: result for result in found}
        self._random = random
        self._pause = piece_seconds
        self.faults = faults
        self.begun = 0
        self.open = 0
        self.cuts = 0
        self.asked: Counter[str] = Counter()

    async def answer(self, request: Request) -> Response:
        """Answer a request for a file."""
        _, kind, name, place = request.url.path.split("/")
        if kind != "files":
            return PlainTextResponse("no", 404)
        self.begun += 1
        self.asked[f"{name}/{place}"] += 1
        content = self._by_name[name].content(int(place))
        end = content.size
        if self._random.random() < self.faults:
            self.cuts += 1
            if self._random.random() < 0.2:
                return PlainTextResponse("busy", 503)
            end = self._random.randrange(content.size)
        return StreamingResponse(self._body(content, end), 200, {"Content-Length": str(content.size)}, TYPE)

    async def _body(self, content: Content, end: int) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            for piece in content.pieces(0, end):
                await asyncio.sleep(self._pause)
                yield bytes(piece)
        finally:
            self.open -= 1
        if end < content.size:
            raise Cut


class Cut(Exception):
    """Ends a response in its middle."""


async def finish(chaos: Chaos, ports: list[int], host: Host) -> None:
    """Send the webhooks, each until a node has acknowledged it."""
    for number, result in enumerate(host.results):
        body = result.webhook(host.url)
        headers = sign(body, chaos.key, request_id=result.name)
        answer = await chaos.web.request(
            ports[number % len(ports)], "POST", "/api/webhooks/fal", headers=headers, body=body
        )
        assert answer[0] == 200, answer


async def ended(chaos: Chaos, port: int, found: list[Result]) -> list[dict[str, Any]]:
    """Wait until all jobs have ended, and return them."""
    states = []
    for result in found:
        while True:
            state = json.loads((await chaos.web.settled(port, "GET", f"/api/fal-jobs/{result.name}"))[1])
            if state["status"] != "pending":
                break
            await asyncio.sleep(0.05)
        states.append(state)
    return states


def problems_of(states: list[dict[str, Any]], found: list[Result], stored: dict[str, str]) -> list[str]:
    """Return what is wrong. `stored` has the keys in the storage, of drafts too, with the SHA-256 of their contents."""
    problems, wanted = [], dict[str, str]()
    for state, result in zip(states, found, strict=True):
        kept = [file["status"] for file in state["media"]]
        if state["status"] != "completed" or kept != ["kept"] * len(result.sizes):
            problems.append(f"{result.name} is {state['status']} with {state['media']}")
        for place, file in enumerate(state["media"]):
            digest = result.content(place).sha256()
            wanted[key_of(result.name, place, digest, EXTENSION)] = digest
            if (file["sha256"], file["bytes"]) != (digest, result.sizes[place]):
                problems.append(f"{result.name} tells a wrong hash or size of file {place}")
            if state["result"]["videos"][place]["url"] != file["url"]:
                problems.append(f"{result.name} has a wrong link to file {place}")
    problems += [f"lost: {key}" for key in wanted.keys() - stored.keys()]
    problems += [f"too much: {key}" for key in stored.keys() - wanted.keys()]
    problems += [f"not whole: {key}" for key in wanted.keys() & stored.keys() if wanted[key] != stored[key]]
    return problems


def in_directory(folder: Path) -> dict[str, str]:
    """Return what is in a directory."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def in_bucket(bucket: Bucket, prefix: str) -> dict[str, str]:
    """Return what is in a bucket under a prefix; open uploads count as files."""
    keys = bucket.keys_under(prefix)
    found = {key.removeprefix(f"{prefix}/"): sha256(bucket.read(key)[0]).hexdigest() for key in keys}
    return found | {f"{INCOMING}/{upload}": "an open upload" for upload in bucket.open_uploads()}
