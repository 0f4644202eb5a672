"""Fuzzed webhooks: valid, invalid, and malformed as HTTP, with the allowed responses to each.

`Shot.wanted` is what its maker knows of the response: an unsigned webhook is never accepted, whatever else it is.
"""

import json
import time
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from nacl.signing import SigningKey

from hookcast.errors import Malformed
from hookcast.fal import signature
from hookcast.fal.webhook import parse
from support.fal import sign
from support.mutation import JSON_TOKENS, mutate

TAKEN, MALFORMED, REFUSED = frozenset({200}), frozenset({400}), frozenset({401})
ANYTHING = frozenset(range(100, 500))
NAMES = 5000
_CONTROLS = bytes((*range(32), 127))  # invalid in a field value (RFC 9110 section 5.5)
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Shot(NamedTuple):
    """One request and its allowed statuses; `whole` = its length is as declared."""

    data: bytes
    wanted: frozenset[int]
    whole: bool = True


def shot(random: Random, key: SigningKey) -> Shot:
    """Return the next request: 50 % signed, 40 % with an invalid signature, 10 % malformed as HTTP."""
    body = _body(random)
    luck = random.random()
    if luck < 0.5:
        return Shot(_request(body, sign(body, key)), TAKEN if _parses(body) else MALFORMED)
    if luck < 0.9:
        body, headers = _unsigned(random, key, body)
        return Shot(_request(body, headers), REFUSED)
    return Shot(_broken(random, _request(body, sign(body, key))), ANYTHING, whole=False)


def _parses(body: bytes) -> bool:
    try:
        parse(body)
    except Malformed:
        return False
    return True


def _request(body: bytes, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /api/webhooks/fal HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return head.encode("latin-1") + body


def _body(random: Random) -> bytes:
    luck = random.random()
    if luck < 0.05:
        return random.randbytes(random.randrange(200))
    if luck < 0.1:
        return b"".join(random.choices(JSON_TOKENS, k=random.randrange(12)))
    plain = json.dumps(_webhook(random), ensure_ascii=random.random() < 0.5).encode()
    return plain if luck < 0.6 else mutate(random, plain, most=2)


def _webhook(random: Random) -> dict[str, Any]:
    name = f"job-{random.randrange(NAMES)}"
    found: dict[str, Any] = {"request_id": name, "gateway_request_id": name, "status": "OK", "error": None}
    match random.randrange(8):
        case 0 | 1:
            found["payload"] = {"images": [{"url": "https://fal.media/a.png"}], "seed": random.randrange(2**70)}
        case 2:
            found |= {"status": "ERROR", "error": "Unprocessable Entity", "payload": {"detail": [_detail(random)]}}
        case 3:
            found |= {
                "status": "ERROR",
                "error": random.choice((None, "", "x" * 3000, {"a": 1}, 7, [])),
                "payload": None,
            }
        case 4:
            found |= {"payload": None, "payload_error": random.choice(("too large", {"a": []}, 0))}
        case 5:
            found |= {"request_id": random.choice(ODD), "payload": random.choice(ODD)}
        case 6:
            found[random.choice(ODD)] = found.pop(random.choice(list(found)))
        case 7:
            found["payload"] = _nested(random, 6)
    return found


ODD: Sequence[str] = (
    *(
        "",
        " ",
        "..",
        "../x",
        "a/b",
        "events",
        "ws",
        "\0",
        "a\r\nb",
        "\u2028",
        "</script>",
        "é",
        "\U0001f408",
        "a" * 200,
    ),
    *("a" * 201, "x" * 70_000, "%2e%2e", "\ufeff", "\u202eabc", "null", "{}", "job-1\n", "job-1 "),
)


def _detail(random: Random) -> dict[str, Any]:
    return {"msg": random.choice(ODD), "loc": random.choice((["body", "prompt"], [1, "a"], [], None, "x")), "type": "t"}


def _nested(random: Random, depth: int) -> Any:
    luck = random.randrange(6 if depth else 4)
    plain: tuple[Any, ...] = (None, random.choice(ODD), random.uniform(-1e300, 1e300), random.getrandbits(200))
    if luck < 4:
        return plain[luck]
    inner = [_nested(random, depth - 1) for _ in range(random.randrange(4))]
    return inner if luck == 4 else {random.choice(ODD): value for value in inner}


def _unsigned(random: Random, key: SigningKey, body: bytes) -> tuple[bytes, dict[str, str]]:
    """Invalidate the signature in one way; never so slightly that it would still verify."""
    headers = sign(body, key)
    match random.randrange(7):
        case 0:
            headers = sign(body, SigningKey(random.randbytes(32)))
        case 1:
            body += b" "
        case 2:
            headers = sign(body, key, timestamp=time.time() + random.choice((-1, 1)) * random.uniform(310, 1e11))
        case 3:
            del headers[random.choice(list(headers))]
        case 4:
            headers[signature.SIGNATURE] = _garbled(random, headers[signature.SIGNATURE])
        case 5:
            headers[signature.TIMESTAMP] = random.choice(("", "x", "-1", "1e9", "9" * 500, "٣", "12.5", "0x1"))
        case 6:
            headers[random.choice((signature.REQUEST_ID, signature.USER_ID))] = _garbled(random, "user")
    return body, {name: value.encode().decode("latin-1") for name, value in headers.items()}


def _garbled(random: Random, text: str) -> str:
    changed = mutate(random, text.encode()).translate(None, _CONTROLS).decode("latin-1").strip()
    return changed if changed.lower() not in {text, "r", "user-1"} else changed + "z"


def _broken(random: Random, request: bytes) -> bytes:
    """Mutate the request's head, or make the body's length or chunking disagree with it."""
    head, _, body = request.partition(b"\r\n\r\n")
    match random.randrange(5):
        case 0:
            return mutate(random, head) + b"\r\n\r\n" + body
        case 1:
            return mutate(random, request, most=8)
        case 2:
            said = random.choice(
                (b"0", b"-1", b"+5", b"1e3", b"9" * 30, b"5, 5", b"", b"\xb2", str(len(body) + 9).encode())
            )
            return _with(head, b"Content-Length: " + said) + body
        case 3:
            pieces = (
                b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:]) if part) + b"0\r\n\r\n"
            )
            chunked = random.choice((b"chunked", b"CHUNKED", b"gzip, chunked", b"chunked, x", b"identity"))
            return _with(head, b"Transfer-Encoding: " + chunked) + mutate(random, pieces, most=2)
        case _:
            odd = (
                b"Expect: 100-continue",
                b"Upgrade: websocket",
                b"Host: y",
                b"X: " + b"y" * 9000,
                b" folded: x",
                b"Upgrade: h2c",
            )
            return head + b"\r\n" + random.choice(odd) + b"\r\n\r\n" + body


def _with(head: bytes, line: bytes) -> bytes:
    kept = [found for found in head.split(b"\r\n") if not found.startswith(b"Content-Length")]
    return b"\r\n".join((*kept, line)) + b"\r\n\r\n"
