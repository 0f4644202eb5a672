"""Fuzzed answers of fal: submit, status, status stream, result and cancel, mutated from real shapes.

The answer to a request depends on the seed, the batch, and how often its URL was asked before: a run can be repeated.
"""

import json
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import httpx

from support.mutation import mutate

ODD: Sequence[Any] = (
    *(None, True, False, 0, -1, 3.0, 3.7, 2**31 - 1, 2**31, 3 * 10**9, 2**63, 10**40, 1795510800, 1795510800123),
    *(
        "",
        " ",
        "7",
        "\0",
        "a\0b",
        "\u2028",
        "\U0001f408",
        "../x",
        "<html><b>no</b>",
        "x" * 5000,
        "9" * 400,
        "COMPLETED",
    ),
    *([], {}, [None], ["prompt is too long"], {"message": "Prompt blocked"}, [[[[]]]], {"a": {"b": {"c": "d"}}}),
)
ERRORS: Sequence[Any] = (
    {"detail": [{"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}]},
    {"detail": "Runner disconnected", "error_type": "runner_disconnected"},
    {"detail": ["prompt is too long"]},
    {"error": {"message": "Prompt blocked", "code": 7}},
    {"detail": "Request is still in progress"},
)
WORDS = ("IN_QUEUE", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED", "COMPLETED", "completed", "FAILED", "SOMETHING_NEW")
STATUSES = (200, 201, 204, 301, 400, 401, 403, 404, 405, 409, 422, 429, 499, 500, 502, 503, 504)
KINDS = ("application/json", "text/html", "image/png", "", "text/event-stream", "\u00e9")
BROKEN: Sequence[type[httpx.TransportError]] = (httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout)


class FuzzedFal(httpx.AsyncBaseTransport):
    """Answers each request with something that fal, or whatever is in its place, might send."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.batch = 0
        self.answered = 0
        self.seen: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    def begin(self, batch: int) -> None:
        """Begin the next batch."""
        self.batch = batch
        self._asked.clear()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer; implements httpx's interface."""
        call = f"{request.method} {request.url}"
        self._asked[call] += 1
        self.answered += 1
        random = Random(f"{self.seed} {self.batch} {call} {self._asked[call]}")  # noqa: S311
        if random.random() < 0.05:
            raise random.choice(BROKEN)("fuzz")
        name, status, body, kind = _shape(random, request)
        self.seen[name] += 1
        headers = {"content-type": kind if random.random() < 0.8 else random.choice(KINDS)}
        if random.random() < 0.1:
            headers["x-fal-error-type"] = random.choice(("request_timeout", "\t", "x" * 300))
        if random.random() < 0.5:
            headers["x-fal-request-id"] = "r"
        if random.random() < 0.15:
            status = random.choice(
                (200, 201, 204, 301, 400, 401, 403, 404, 405, 409, 422, 429, 499, 500, 502, 503, 504)
            )
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return httpx.Response(status, headers=raw, content=body)


def _shape(random: Random, request: httpx.Request) -> tuple[str, int, bytes, str]:
    """Return the kind of answer, its usual HTTP status, its body and its content type."""
    path, plain = request.url.path, "application/json"
    if request.method == "POST":
        return "submit", 200, _bytes(random, _submitted(random, request)), plain
    if request.method == "PUT":
        word = random.choice(("CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND", "OK"))
        return "cancel", random.choice((200, 202, 400, 404)), _bytes(random, {"status": word}), plain
    if path.endswith("/stream"):
        events = [_bytes(random, _status(random)) for _ in range(random.randrange(5))]
        text = b"".join(b"data: " + event.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n" for event in events)
        return "stream", 200, mutate(random, text) if random.random() < 0.2 else text, "text/event-stream"
    if path.endswith("/status"):
        return "status", 200, _bytes(random, _status(random)), plain
    return _result(random)


def _result(random: Random) -> tuple[str, int, bytes, str]:
    plain, luck = "application/json", random.random()
    if luck < 0.4:
        return "result", 200, _bytes(random, {"images": [{"url": "https://fal.media/a.png"}], "seed": 2**70}), plain
    if luck < 0.5:
        return "result", 200, b"\x89PNG" + random.randbytes(40), "image/png"
    return "result", random.choice((400, 404, 422, 500, 503, 504)), _bytes(random, random.choice(ERRORS)), plain


def _submitted(random: Random, request: httpx.Request) -> dict[str, Any]:
    name = request.url.path.rpartition("/")[2]
    root = f"{request.url.scheme}://{request.url.host}/fal-ai/flux/requests/{name}"
    suffix = random.choice(("", "/response", "/", "?a=b"))
    return {
        "request_id": name,
        "response_url": root + suffix,
        "status_url": f"{root}/status",
        "cancel_url": f"{root}/cancel",
        "queue_position": random.choice((0, 3, 12_000)),
        "status": "IN_QUEUE",
    }


def _status(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {"status": random.choice(WORDS), "queue_position": random.choice((None, 0, 3, 12_000))}
    if random.random() < 0.7:
        found["logs"] = [_line(random) for _ in range(random.choice((0, 1, 3, 60)))]
    if found["status"] == "COMPLETED" and random.random() < 0.3:
        found |= {"error": "Runner disconnected", "error_type": "runner_disconnected"}
    return found


def _line(random: Random) -> Any:
    if random.random() < 0.1:
        return random.choice(ODD)
    line: dict[str, Any] = {"message": random.choice(("step", "50%", "x" * 5000, "\0")), "level": "INFO"}
    if random.random() < 0.5:
        line["timestamp"] = f"2026-11-24T10:00:{random.randrange(60):02}Z"
    return _odd(random, line) if random.random() < 0.1 else line


def _odd(random: Random, fields: dict[str, Any]) -> dict[str, Any]:
    """Replace, drop or rename a field."""
    changed = dict(fields)
    name = random.choice(list(changed))
    match random.randrange(3):
        case 0:
            changed[name] = random.choice(ODD)
        case 1:
            del changed[name]
        case 2:
            changed[name.upper()] = changed.pop(name)
    return changed


def _bytes(random: Random, value: Any) -> bytes:
    luck = random.random()
    if isinstance(value, dict) and luck < 0.4:
        value = _odd(random, value)
    if luck > 0.95:
        value = random.choice(ODD)
    text = json.dumps(value, ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")
    return mutate(random, text) if 0.3 < luck < 0.55 else text
