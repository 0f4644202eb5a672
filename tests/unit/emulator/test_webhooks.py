"""Signing, delivery and repetition of the emulator's webhooks, without a network."""

import asyncio
import time
from collections.abc import Callable, Iterable

import httpx
import pytest
from nacl.signing import SigningKey

from hookcast.emulator.faults import Fault
from hookcast.emulator.queue import Job
from hookcast.emulator.webhooks import USER_ID, Keys, Verdict, Webhooks, gaps, is_loopback, signed_headers, verdict_of
from hookcast.errors import SignatureInvalid, TimestampOutOfRange
from hookcast.fal.signature import SignedHeaders, decode_key, verify
from unit.emulator.making import make_job

pytestmark = pytest.mark.anyio

KEYS = Keys.make()
NOW = 1_790_000_000.0


class Post:
    """A receiver without a network: answers these codes, then 200, and remembers requests and pauses."""

    def __init__(self, codes: Iterable[int] = ()) -> None:
        self.codes = list(codes)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Take one webhook."""
        self.requests.append(request)
        return httpx.Response(self.codes.pop(0) if self.codes else 200)

    async def sleep(self, seconds: float) -> None:
        """Pause without waiting."""
        self.pauses.append(seconds)

    async def deliver(self, job: Job, wanted: Callable[[], bool] = lambda: True) -> None:
        """Deliver the job's webhook to this receiver."""
        async with httpx.AsyncClient(transport=httpx.MockTransport(self.answer)) as client:
            webhooks = Webhooks(client, KEYS, sleep=self.sleep, now=lambda: NOW)
            await webhooks.deliver(job, wanted=wanted)


def _verify(request: httpx.Request, now: float = NOW) -> None:
    keys = [decode_key(jwk["x"]) for jwk in KEYS.jwks()["keys"]]
    verify(SignedHeaders.read(request.headers), request.content, keys, now=now)


def test_signature_is_what_hookcast_verifies() -> None:
    """Headers made here pass the check of the other side, which shares only the message."""
    key = SigningKey.generate()
    headers = signed_headers(key, request_id="r", body=b"{}", timestamp=int(time.time()))
    verify(SignedHeaders.read(headers), b"{}", [key.verify_key], now=time.time())
    assert headers["x-fal-webhook-user-id"] == USER_ID


def test_jwks_has_two_unpadded_keys_and_the_signer_is_not_the_first() -> None:
    """Whoever tries only the first key fails."""
    first, second = KEYS.jwks()["keys"]
    assert {first["kty"], second["kty"]} == {"OKP"}
    assert {first["crv"], second["crv"]} == {"Ed25519"}
    assert decode_key(second["x"]) == KEYS.signer.verify_key
    assert decode_key(first["x"]) != KEYS.signer.verify_key
    assert "=" not in first["x"] + second["x"]


async def test_the_query_of_the_webhooks_url_is_kept() -> None:
    """Receivers tell their requests apart by it."""
    post, url = Post(), "http://127.0.0.1:9/hook?submit=a-_B%2F&x=1"
    await post.deliver(make_job(webhook_url=url))
    assert [str(request.url) for request in post.requests] == [url]


def test_gaps_grow_to_five_minutes_for_31_attempts() -> None:
    """The pauses double from 2 s up to a limit, and there are at most 31 attempts."""
    pauses = list(gaps())
    assert pauses[:4] == [2.0, 4.0, 8.0, 16.0]
    assert max(pauses) == 300.0
    assert len(pauses) == 30


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(200, "TAKEN"), (204, "TAKEN"), (301, "FINAL"), (308, "FINAL"), (400, "AGAIN"), (404, "AGAIN"), (503, "AGAIN")],
)
def test_verdicts(code: int, verdict: str) -> None:
    """Only a 2xx is taken, and only a 3xx ends the delivery without it."""
    assert verdict_of(code) is Verdict[verdict]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/x", "http://localhost/x", "https://[::1]:1/x", "http://a.localhost:80", "http://127.9.9.9"],
)
def test_loopback_is_allowed(url: str) -> None:
    """The very machine it runs on, by address or by name."""
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/x",
        "http://10.0.0.1/x",
        "http://0.0.0.0/x",
        "http://localhost.example/x",
        "http://localhost@example.org/",
        "ftp://127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "127.0.0.1",
        "",
        "http://",
    ],
)
def test_everything_else_is_not_loopback(url: str) -> None:
    """Other machines, other schemes, and what is no URL at all."""
    assert not is_loopback(url)


async def test_webhook_is_sent_once_when_it_is_taken() -> None:
    """One signed POST, no pause."""
    post = Post()
    await post.deliver(make_job())
    [request] = post.requests
    _verify(request)
    assert request.method == "POST"
    assert post.pauses == []


async def test_webhook_to_another_machine_is_dropped() -> None:
    """The emulator talks to nobody but this machine."""
    post, job = Post(), make_job(webhook_url="https://hooks.example/x")
    await post.deliver(job)
    assert post.requests == []
    assert job.first_attempt.is_set()


async def test_4xx_and_5xx_are_repeated_with_scaled_gaps_and_fresh_signatures() -> None:
    """Every attempt is signed for itself; the pauses grow, divided by the speed."""
    post = Post([500, 401, 404])
    await post.deliver(make_job(speed=2.0))
    for request in post.requests:
        _verify(request)
    assert post.pauses == [1.0, 2.0, 4.0]


async def test_redirect_is_never_repeated() -> None:
    """A 3xx ends the delivery."""
    post = Post([307])
    await post.deliver(make_job())
    assert len(post.requests) == 1


async def test_delivery_is_given_up_after_31_attempts() -> None:
    """A receiver that always fails is left alone in the end."""
    post = Post([500] * 40)
    await post.deliver(make_job())
    assert len(post.requests) == 31


async def test_delivery_ends_when_the_job_is_forgotten() -> None:
    """A result that is no longer kept is no longer told."""
    post = Post([500] * 40)
    await post.deliver(make_job(), wanted=lambda: len(post.requests) < 3)
    assert len(post.requests) == 3


async def test_network_error_is_repeated() -> None:
    """A receiver that is not there yet gets the webhook later."""
    calls: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if len(calls) == 1:
            raise httpx.ConnectError("refused")
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await Webhooks(client, KEYS, sleep=Post().sleep).deliver(make_job())
    assert len(calls) == 2


async def test_receiver_that_hangs_is_tried_again_after_the_deadline() -> None:
    """An attempt ends at its deadline: a short one first, a longer one later."""
    calls: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if len(calls) == 1:
            await asyncio.Event().wait()
        return httpx.Response(200)

    async with asyncio.timeout(60), httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await Webhooks(client, KEYS, sleep=Post().sleep, deadlines=(0.01, 4.0)).deliver(make_job())
    assert len(calls) == 2


async def test_lost_webhook_is_never_sent() -> None:
    """Only the queue knows of the end."""
    post = Post()
    await post.deliver(make_job(faults=[Fault.WEBHOOK_LOST]))
    assert post.requests == []


async def test_thrice_means_three_whatever_is_answered() -> None:
    """Three copies are sent although the first was taken, and no more although the last failed."""
    post = Post([200, 500, 500])
    await post.deliver(make_job(faults=[Fault.WEBHOOK_THRICE]))
    assert len(post.requests) == 3


async def test_late_webhook_waits_the_seconds_asked_for() -> None:
    """The delay is divided by the speed, as every duration is."""
    post = Post()
    await post.deliver(make_job(faults=[Fault.WEBHOOK_LATE], seconds=7.0, speed=2.0))
    assert post.pauses == [3.5]
    assert len(post.requests) == 1


async def test_unknown_key_signs_only_the_first_attempt() -> None:
    """The first attempt does not verify, the retry does."""
    post = Post([401])
    await post.deliver(make_job(faults=[Fault.UNKNOWN_KEY]))
    first, second = post.requests
    with pytest.raises(SignatureInvalid):
        _verify(first)
    _verify(second)


async def test_old_timestamp_stands_only_on_the_first_attempt() -> None:
    """The first attempt is ten minutes old and rightly signed, the retry is fresh."""
    post = Post([401])
    await post.deliver(make_job(faults=[Fault.OLD_TIMESTAMP]))
    first, second = post.requests
    with pytest.raises(TimestampOutOfRange):
        _verify(first)
    _verify(first, now=NOW - 600)
    _verify(second)
