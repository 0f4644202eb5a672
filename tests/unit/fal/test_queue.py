"""The queue client: what is tried again, and how long."""

import asyncio
from itertools import product
from typing import NoReturn

import httpcore
import httpx
import pytest
from msgspec import Raw

from hookcast.errors import FalRejected, FalUnreachable
from hookcast.fal.answers import CancelAnswer, Submitted
from hookcast.fal.calls import DEADLINES, RETRIED, Call, Trouble
from hookcast.fal.queue import FalQueue
from support.fal import ENDPOINT, QUEUE, Answer, FalDouble
from support.queue import Harness, job

pytestmark = pytest.mark.anyio
ONCE: dict[Trouble, list[Answer]] = {
    Trouble.NOT_SENT: [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")],
    Trouble.NO_ANSWER: [httpx.ReadError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")],
    Trouble.BUSY: [httpx.Response(429), httpx.Response(429, headers={"x-fal-request-id": "a"})],
    Trouble.GATEWAY: [httpx.Response(code) for code in (502, 503, 504)],
    Trouble.TAKEN: [httpx.Response(code, headers={"x-fal-request-id": "a"}) for code in (502, 503, 504)],
}
GOOD: dict[Call, httpx.Response] = {
    Call.SUBMIT: httpx.Response(200, json={"request_id": "job-1"}),
    Call.STATUS: httpx.Response(202, json={"status": "IN_QUEUE", "queue_position": 7}),
    Call.RESULT: httpx.Response(200, json={"ok": True}),
    Call.CANCEL: httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"}),
}


@pytest.mark.parametrize(("trouble", "call"), list(product(Trouble, Call)))
async def test_every_pair_of_the_retry_table_does_what_it_says(trouble: Trouble, call: Call) -> None:
    """In the table: asked again until the good answer. Not in it: asked once."""
    for answer in ONCE[trouble]:
        harness = Harness()
        if call in RETRIED[trouble]:
            await harness.ask(call, answer, answer, GOOD[call])
            assert (len(harness.fal.requests), len(harness.pauses)) == (3, 2)
        else:
            with pytest.raises((FalUnreachable, FalRejected), match=r"may have accepted|fal answered") as raised:
                await harness.ask(call, answer, GOOD[call])
            assert (len(harness.fal.requests), harness.pauses) == (1, [])
            assert raised.value.maybe_taken or call is not Call.SUBMIT


@pytest.mark.parametrize("trouble", [trouble for trouble, calls in RETRIED.items() if Call.SUBMIT in calls])
async def test_a_submit_that_cannot_have_been_taken_says_so(trouble: Trouble) -> None:
    """It failed in the same way until the end."""
    for answer in ONCE[trouble]:
        with pytest.raises(FalUnreachable) as raised:
            await Harness().ask(Call.SUBMIT, answer)
        assert not raised.value.maybe_taken


@pytest.mark.parametrize(
    ("status", "named", "maybe_taken"),
    [(422, True, False), (403, False, False), (500, False, False), (500, True, True), (501, True, True)],
)
async def test_a_refusal_may_come_from_a_request_that_was_taken(status: int, named: bool, maybe_taken: bool) -> None:
    """When fal failed at a request that it had given an id."""
    answer = httpx.Response(status, headers={"x-fal-request-id": "a"} if named else {})
    with pytest.raises(FalRejected) as raised:
        await Harness().ask(Call.SUBMIT, answer)
    assert raised.value.maybe_taken is maybe_taken


class Silent(httpcore.AsyncNetworkBackend):
    """A network that answers no connection attempt."""

    async def connect_tcp(self, *_: object, **__: object) -> NoReturn:
        """Hang."""
        await asyncio.Event().wait()
        raise AssertionError


async def test_who_never_got_a_connection_has_submitted_nothing() -> None:
    transport = httpx.AsyncHTTPTransport()
    transport._pool = httpcore.AsyncConnectionPool(network_backend=Silent())
    async with httpx.AsyncClient(transport=transport) as client:
        queue = FalQueue(client, QUEUE, "key", deadlines=dict.fromkeys(DEADLINES, 0.01))
        with pytest.raises(FalUnreachable, match="no connection") as raised:
            await queue.submit(ENDPOINT, Raw(b"{}"), webhook_url=None, headers={})
    assert not raised.value.maybe_taken


def test_only_a_submit_that_may_have_been_taken_and_a_result_are_not_repeated() -> None:
    """The whole table in one line each, so that no entry changes by accident."""
    others = {Call.STATUS, Call.CANCEL}
    assert {trouble: set(calls) for trouble, calls in RETRIED.items()} == {
        Trouble.NOT_SENT: {Call.SUBMIT, *others},
        Trouble.NO_ANSWER: others,
        Trouble.BUSY: {Call.SUBMIT, *others},
        Trouble.GATEWAY: {Call.SUBMIT, *others},
        Trouble.TAKEN: others,
    }


async def test_pauses_grow_and_stay_under_a_limit() -> None:
    """Doubling from 0.2 s to 5 s, and then it gives up by itself."""
    harness = Harness()
    with pytest.raises(FalUnreachable, match="429"):
        await harness.ask(Call.STATUS, httpx.Response(429))
    assert harness.pauses[:6] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert max(harness.pauses) == 5.0
    assert len(harness.fal.requests) == len(harness.pauses) == 12


@pytest.mark.parametrize(("header", "pause"), [("3", 3.0), ("0", 0.2), ("9999", 10.0), ("soon", 0.2), ("-1", 0.2)])
async def test_retry_after_is_honoured(header: str, pause: float) -> None:
    """No earlier than fal asks for, no later than the deadline of a call; what is no number is ignored."""
    harness = Harness()
    await harness.ask(Call.STATUS, httpx.Response(429, headers={"retry-after": header}), GOOD[Call.STATUS])
    assert harness.pauses == [pause]


@pytest.mark.parametrize("call", Call)
async def test_the_deadline_holds_when_fal_hangs(call: Call) -> None:
    """Whatever is asked; for a submit the message says that fal may have accepted it."""
    harness = Harness(deadline=0.01)
    harness.fal.gate.clear()
    with pytest.raises(FalUnreachable, match="may have accepted"):
        await harness.ask(call, GOOD[call])
    assert len(harness.fal.requests) == 1


async def test_the_deadline_holds_while_pausing() -> None:
    """A long Retry-After does not hold the caller longer than its deadline."""
    fal = FalDouble()
    fal.script("", httpx.Response(429, headers={"retry-after": "9999"}))
    async with httpx.AsyncClient(transport=fal) as client:
        queue = FalQueue(client, QUEUE, "key", deadlines=dict.fromkeys(Call, 0.01))
        with pytest.raises(FalUnreachable, match="429"):
            await queue.status(job())


@pytest.mark.parametrize("call", Call)
async def test_the_users_own_timeout_is_final(call: Call) -> None:
    """A 504 that says so is no passing trouble: it is told as fal's answer."""
    answer = httpx.Response(
        504, headers={"x-fal-request-timeout-type": "user"}, json={"detail": "Request timed out after 20 s"}
    )
    harness = Harness()
    with pytest.raises(FalRejected, match="timed out after 20 s") as caught:
        await harness.ask(call, answer)
    assert (caught.value.fal_status, len(harness.fal.requests)) == (504, 1)


async def test_an_answer_that_cannot_be_unpacked_is_a_broken_one() -> None:
    """A body that is no gzip although it says so: asked again where that is safe."""
    broken = httpx.DecodingError("not gzip")
    assert await Harness().ask(Call.CANCEL, broken, GOOD[Call.CANCEL]) is CancelAnswer.REQUESTED
    with pytest.raises(FalUnreachable):
        await Harness().ask(Call.SUBMIT, broken, GOOD[Call.SUBMIT])


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"request_id": null}', b'{"request_id": "\xff"}'])
async def test_an_answer_that_is_no_submit_answer_is_told(body: bytes) -> None:
    with pytest.raises(FalUnreachable, match="not as documented"):
        await Harness().ask(Call.SUBMIT, httpx.Response(200, content=body))


async def test_the_request_id_is_also_found_in_the_headers() -> None:
    """A submit that fal has taken must not be lost over its body."""
    for body in (b"", b"<html>", b'{"request_id": "../x"}'):
        answer = httpx.Response(200, content=body, headers={"x-fal-request-id": "job-1"})
        assert await Harness().ask(Call.SUBMIT, answer) == Submitted(request_id="job-1")


async def test_a_nested_answer_does_not_exhaust_the_stack() -> None:
    """As an answer it cannot be read; in the status stream it is passed over."""
    deep = b'{"status": "IN_QUEUE", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(FalUnreachable):
        await Harness().ask(Call.STATUS, httpx.Response(200, content=deep))
    harness = Harness()
    content = b"data: " + deep + b'\n\ndata: {"status": "IN_QUEUE", "queue_position": 5}\n\n'
    harness.fal.script(
        "/status/stream", httpx.Response(200, headers={"content-type": "text/event-stream"}, content=content)
    )
    async with harness.client, harness.queue.follow(job()) as reports:
        assert [report.progress.queue_position async for report in reports] == [5]


async def test_a_job_whose_endpoint_is_unknown_cannot_be_asked_for() -> None:
    """It says what to do."""
    with pytest.raises(FalRejected, match="register it with PUT"):
        await Harness().queue.result(job(endpoint_id=None))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (202, CancelAnswer.REQUESTED),
        (200, CancelAnswer.REMOVED),
        (400, CancelAnswer.ALREADY_COMPLETED),
        (404, CancelAnswer.NOT_FOUND),
    ],
)
async def test_cancel_knows_fals_four_answers(status: int, said: CancelAnswer) -> None:
    """By their HTTP status; any other is an error."""
    assert await Harness().ask(Call.CANCEL, httpx.Response(status, json={"status": said.value})) is said
    with pytest.raises(FalRejected):
        await Harness().ask(Call.CANCEL, httpx.Response(403))


async def test_a_redirect_is_not_followed() -> None:
    """The key would go along."""
    harness = Harness()
    with pytest.raises(FalRejected):
        await harness.ask(Call.STATUS, httpx.Response(307, headers={"location": "https://elsewhere.test/"}))
    assert len(harness.fal.requests) == 1


async def test_a_refused_key_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    harness = Harness()
    harness.fal.script("", httpx.Response(401, json={"detail": "No such key"}))
    for _ in range(3):
        with pytest.raises(FalRejected):
            await harness.queue.status(job())
    await harness.client.aclose()
    assert capsys.readouterr().out.count("fal_refuses_the_key") == 1
