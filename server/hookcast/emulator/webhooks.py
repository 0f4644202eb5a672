"""The emulator's webhooks: signed, delivered and retried as fal does, to loopback only.

Source: fal's documentation, "Webhooks API".
"""

import asyncio
import base64
import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import httpx
from nacl.signing import SigningKey

from hookcast.emulator.faults import Fault
from hookcast.emulator.queue import Job
from hookcast.emulator.results import webhook_body
from hookcast.fal import signature
from hookcast.logs import get_logger

USER_ID = "hookcast-emulator"
MAX_ATTEMPTS = 31
FIRST_DEADLINE_SECONDS = 15.0
LATER_DEADLINE_SECONDS = 120.0
FIRST_GAP_SECONDS = 2.0
LONGEST_GAP_SECONDS = 300.0
OLD_TIMESTAMP_SECONDS = 600
HIGHEST_PORT = 65535
READ_ANSWER_BYTES = 64 * 1024

Sleep = Callable[[float], Awaitable[None]]

_log = get_logger(__name__)


class Verdict(Enum):
    """Outcome of a delivery attempt."""

    TAKEN = "taken"
    FINAL = "final"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Keys:
    """The signing key, one that is published but never signs, and one that is never published."""

    signer: SigningKey
    spare: SigningKey
    stranger: SigningKey

    @classmethod
    def make(cls, signer: SigningKey | None = None) -> "Keys":
        """Generate keys; the signing key may be given."""
        return cls(signer or SigningKey.generate(), SigningKey.generate(), SigningKey.generate())

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK set (RFC 8037). The signing key is not the first: receivers must try each."""
        return {"keys": [_jwk(self.spare), _jwk(self.signer)]}


def signed_headers(key: SigningKey, *, request_id: str, body: bytes, timestamp: int) -> dict[str, str]:
    """Return the headers of one attempt, signature included; `timestamp` is unix seconds."""
    message = signature.signed_message(request_id=request_id, user_id=USER_ID, timestamp=str(timestamp), body=body)
    return {
        signature.REQUEST_ID: request_id,
        signature.USER_ID: USER_ID,
        signature.TIMESTAMP: str(timestamp),
        signature.SIGNATURE: key.sign(message).signature.hex(),
        "content-type": "application/json",
    }


def gaps() -> Iterator[float]:
    """Yield the pauses between attempts, in seconds at speed 1: growing, up to 31 attempts in all."""
    for attempt in range(MAX_ATTEMPTS - 1):
        yield min(FIRST_GAP_SECONDS * 2**attempt, LONGEST_GAP_SECONDS)


def is_loopback(url: str) -> bool:
    """Return whether the URL is http(s) to this machine, judged by its host alone: no DNS lookup."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    host = parts.host.lower().rstrip(".")
    if parts.scheme not in {"http", "https"} or not 0 <= (parts.port or 0) <= HIGHEST_PORT:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Webhooks:
    """Sends the webhooks of ended jobs. `now` returns unix seconds, `sleep` pauses between attempts."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        keys: Keys,
        *,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.time,
        deadlines: tuple[float, float] = (FIRST_DEADLINE_SECONDS, LATER_DEADLINE_SECONDS),
    ) -> None:
        self._client = client
        self._keys = keys
        self._sleep = sleep
        self._now = now
        self._deadlines = deadlines

    async def deliver(self, job: Job, *, wanted: Callable[[], bool] = lambda: True) -> None:
        """Send the webhook until it is accepted, final, or no longer `wanted`; a receiver's failure never raises."""
        try:
            if job.webhook_url is None or job.wishes.faults & {Fault.WEBHOOK_LOST, Fault.UNKNOWN_REQUEST}:
                return
            if not is_loopback(job.webhook_url):
                _log.warning(
                    "emulator_webhook_dropped",
                    request_id=job.request_id,
                    reason="the emulator sends webhooks to loopback addresses only",
                )
                return
            if Fault.WEBHOOK_LATE in job.wishes.faults:
                await self._sleep(job.wishes.seconds / job.speed)
            await self._repeat(job, job.webhook_url, wanted)
        finally:
            job.first_attempt.set()

    async def _repeat(self, job: Job, url: str, wanted: Callable[[], bool]) -> None:
        copies = 3 if Fault.WEBHOOK_THRICE in job.wishes.faults else 1
        taken = False
        for attempt, gap in enumerate((0.0, *gaps())):
            if attempt:
                await self._sleep(gap / job.speed)
                if not wanted():
                    return
            verdict = await self._attempt(job, url, attempt)
            job.first_attempt.set()
            taken = taken or verdict is Verdict.TAKEN
            if verdict is Verdict.FINAL or (taken and attempt + 1 >= copies):
                return
        _log.warning("emulator_webhook_given_up", request_id=job.request_id, attempts=MAX_ATTEMPTS)

    async def _attempt(self, job: Job, url: str, attempt: int) -> Verdict:
        body = webhook_body(job)
        headers = self._sign(job, body, attempt)
        try:
            async with asyncio.timeout(self._deadlines[min(attempt, 1)]):
                code = await self._post(url, body, headers)
        except (httpx.HTTPError, TimeoutError) as error:
            _log.info("emulator_webhook_failed", request_id=job.request_id, reason=repr(error))
            return Verdict.AGAIN
        _log.info("emulator_webhook_sent", request_id=job.request_id, answer=code)
        return verdict_of(code)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        async with self._client.stream("POST", url, content=body, headers=headers) as response:
            size = response.headers.get("content-length", "")
            # Read a short body so that the connection can be reused; of a long one only the status matters.
            if size.isascii() and size.isdigit() and int(size) <= READ_ANSWER_BYTES:
                async for _ in response.aiter_raw():
                    pass
            return response.status_code

    def _sign(self, job: Job, body: bytes, attempt: int) -> dict[str, str]:
        """Sign afresh; signature faults affect only the first attempt, so that a retry succeeds."""
        faults = job.wishes.faults if attempt == 0 else frozenset()
        key = self._keys.stranger if Fault.UNKNOWN_KEY in faults else self._keys.signer
        age = OLD_TIMESTAMP_SECONDS if Fault.OLD_TIMESTAMP in faults else 0
        return signed_headers(key, request_id=job.request_id, body=body, timestamp=int(self._now()) - age)


def verdict_of(code: int) -> Verdict:
    """Map a status: 2xx is accepted, 3xx is never retried, everything else is (4xx too)."""
    if 200 <= code < 300:
        return Verdict.TAKEN
    return Verdict.FINAL if 300 <= code < 400 else Verdict.AGAIN


def _jwk(key: SigningKey) -> dict[str, str]:
    x = base64.urlsafe_b64encode(bytes(key.verify_key)).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x}
