"""Every route and every kind of caller: who may do what, over HTTP, SSE and WebSocket."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from support.access import ADMIN, API_KEY, SECOND_KEY, SECRET, SETTINGS, IdentityProvider, token, unsigned
from support.closed import IDP, closing
from support.fal import ENDPOINT, FalDouble
from support.server import Node

pytestmark = pytest.mark.anyio

# What a caller gets: 401 with a code, or one of four kinds of access.
FULL, OWNS, SEES, BLIND = "full", "owns", "sees", "blind"
CALLERS: dict[str, tuple[str | None, str]] = {
    "nobody": (None, "unauthorized"),
    "wrong key": ("wrong-key", "unauthorized"),
    "key": (API_KEY, FULL),
    "second key": (SECOND_KEY, FULL),
    "token for it": (token(jobs=["job-1"]), SEES),
    "token for another": (token(jobs=["job-2"]), BLIND),
    "token for nothing": (token(), BLIND),
    "right owner": (token(sub="user-1"), OWNS),
    "wrong owner": (token(sub="user-2"), BLIND),
    "right group": (token(groups=["g", "h"]), SEES),
    "owner, by another right": (token(sub="user-2", jobs=["job-1"]), SEES),
    "wrong group": (token(groups=["h"]), BLIND),
    "expired": (token(expires_in=-1, jobs=["job-1"]), "token_expired"),
    "without expiry": (token(expires_in=None, jobs=["job-1"]), "token_invalid"),
    "alg none": (unsigned(jobs=["job-1"]), "token_invalid"),
    "another secret": (token("another-secret-0123456789-0123456789", jobs=["job-1"]), "token_invalid"),
    "provider's user": (IDP.token(), OWNS),
    "provider's user, ES256": (IDP.token("ES256"), OWNS),
    "provider's user, EdDSA": (IDP.token("EdDSA"), OWNS),
    "provider's other user": (IDP.token(sub="user-2"), BLIND),
    "provider's expired": (IDP.token(expires_in=-1), "token_expired"),
    "wrong audience": (IDP.token(aud="anon"), "token_invalid"),
    "wrong issuer": (IDP.token(iss="https://other.test"), "token_invalid"),
    "another provider's key": (IdentityProvider().token(), "token_invalid"),
}
STATUS = {FULL: 200, OWNS: 200, SEES: 200, BLIND: 404}


def hs256_with_the_public_key() -> str:
    """The classic confusion: the verifier's public key, taken for a shared secret. PyJWT refuses to make it."""
    import base64  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    claims = {"iss": SETTINGS["token_issuer"], "aud": SETTINGS["token_audience"], "sub": "user-1", "exp": 2**33}
    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": IDP.kid("RS256")}).encode())
    signed = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.digest(IDP.public_pem(), signed.encode(), 'sha256'))}"


CALLERS["HS256 with the provider's public key"] = (hs256_with_the_public_key(), "token_invalid")


class Caller(NamedTuple):
    """One row of the table."""

    credential: str | None
    access: str

    @property
    def headers(self) -> dict[str, str]:
        """As a program sends it."""
        return {} if self.credential is None else {"Authorization": f"Bearer {self.credential}"}


@pytest.fixture(params=CALLERS, scope="module")
def caller(request: pytest.FixtureRequest) -> Caller:
    """Each of them."""
    return Caller(*CALLERS[request.param])


@pytest.fixture
async def closed(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server that asks for keys and tokens, with a job of user-1 in the group g."""
    async with closing(database_url, fal) as node:
        yield node


def judge(answer: httpx.Response, caller: Caller, expected: dict[str, int]) -> None:
    """The status that the caller's kind of access gets, or its 401."""
    if caller.access in expected:
        assert answer.status_code == expected[caller.access]
        if answer.status_code >= 400:
            assert answer.json()["code"] == {403: "forbidden", 404: "job_not_found"}[answer.status_code]
            assert SECRET not in answer.text
    else:
        assert (answer.status_code, answer.json()["code"]) == (401, caller.access)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert SECRET not in answer.text


async def test_polling(closed: Node, caller: Caller) -> None:
    """One job; a long poll answers a stranger at once."""
    for query in ("", "?wait=60&version=9"):
        if query and caller.access in STATUS.keys() - {BLIND}:
            continue
        judge(await closed.client.get(f"/api/fal-jobs/job-1{query}", headers=caller.headers), caller, STATUS)


async def test_sse_of_one_job_and_of_many(closed: Node, caller: Caller) -> None:
    """By header, and as a browser's EventSource sends a token; nothing is sent to a stranger."""
    for path in ("/api/fal-jobs/job-1/events", "/api/fal-jobs/events?requestId=job-1&requestId=unknown"):
        for by_query in (False, True):
            params = {"token": caller.credential} if by_query and caller.credential is not None else {}
            url = httpx.URL(closed.url + path).copy_merge_params(params)
            async with closed.client.stream("GET", url, headers={} if by_query else caller.headers) as answer:
                if answer.status_code == 200:
                    lines = [line async for line in _until_data(answer)]
                    assert json.loads(lines[-1][6:])["requestId"] == "job-1"
                else:
                    await answer.aread()
                judge(answer, caller, STATUS)


async def _until_data(answer: httpx.Response) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        yield line
        if line.startswith("data: "):
            return


async def test_websocket_with_the_token_in_the_url_or_in_the_message(closed: Node, caller: Caller) -> None:
    """States, `forbidden`, or the close code of a token that does not count."""
    query = "" if caller.credential is None else f"?token={caller.credential}"
    for in_url in (True, False):
        url = f"ws{closed.url[4:]}/api/fal-jobs/ws{query if in_url else ''}"
        async with connect(url, proxy=None, subprotocols=["hookcast.v1"]) as client:  # type: ignore[list-item]
            message: dict[str, Any] = {"type": "subscribe", "requestIds": ["job-1"]}
            if not in_url and caller.credential is not None:
                message["token"] = caller.credential
            with contextlib.suppress(ConnectionClosed):
                await client.send(json.dumps(message))
            heard = await _hear(client, 2)
            if caller.access in STATUS.keys() - {BLIND}:
                assert [told["type"] for told in heard] == ["subscribed", "job"]
            elif caller.access == BLIND:
                await client.close()
                assert [(told["type"], told["code"], told["requestIds"]) for told in heard] == [
                    ("error", "forbidden", ["job-1"])
                ]
            else:
                assert client.close_code == (4502 if caller.access == "token_expired" else 4501)
                assert not heard


async def _hear(client: ClientConnection, count: int) -> list[Any]:
    heard: list[Any] = []
    with contextlib.suppress(ConnectionClosed):
        while len(heard) < count and not (heard and heard[-1]["type"] == "error"):
            heard.append(json.loads(await client.recv()))
    return heard


async def test_what_only_a_key_may_do(closed: Node, caller: Caller) -> None:
    """Submit, register, mint; nothing of a refused request is left."""
    only_full = {OWNS: 403, SEES: 403, BLIND: 403}
    client, headers = closed.client, caller.headers
    body = {"endpointId": ENDPOINT, "input": {}}
    asked = len(closed.fal.asked(f"/{ENDPOINT}"))
    judge(await client.post("/api/fal-jobs", json=body, headers=headers), caller, {FULL: 202, **only_full})
    assert len(closed.fal.asked(f"/{ENDPOINT}")) - asked == (caller.access == FULL)
    judge(await client.put("/api/fal-jobs/job-7", json={}, headers=headers), caller, {FULL: 201, **only_full})
    judge(await client.post("/api/tokens", json={"sub": "u"}, headers=headers), caller, {FULL: 201, **only_full})
    known = (await client.get("/api/fal-jobs/job-7", headers=ADMIN)).status_code
    assert known == (200 if caller.access == FULL else 404)


async def test_cancel(closed: Node, caller: Caller) -> None:
    """An owner may, and the journal says who did; who does not see the job learns nothing of it."""
    closed.fal.script("/cancel", httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"}))
    answer = await closed.client.post("/api/fal-jobs/job-1/cancel", headers=caller.headers)
    judge(answer, caller, {FULL: 202, OWNS: 202, SEES: 403, BLIND: 404})
    assert len(closed.fal.asked("/cancel")) == (caller.access in {FULL, OWNS})
    journal = (await closed.client.get("/api/fal-jobs/job-1/journal", headers=ADMIN)).json()["entries"]
    asked = [entry["facts"]["by"] for entry in journal if entry["event"] == "cancel_asked"]
    assert [name.partition(":")[0] for name in asked] == {FULL: ["key"], OWNS: ["owner"]}.get(caller.access, [])


async def test_a_job_that_is_nobodys_is_cancelled_with_a_key_only(closed: Node) -> None:
    """Also when a token names it."""
    await closed.client.put("/api/fal-jobs/job-2", json={"endpointId": ENDPOINT}, headers=ADMIN)
    headers = {"Authorization": f"Bearer {token(sub='user-1', jobs=['job-2'])}"}
    answer = await closed.client.post("/api/fal-jobs/job-2/cancel", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_the_list_has_what_the_caller_sees(closed: Node, caller: Caller) -> None:
    """And no more, whatever is asked for."""
    await closed.client.put("/api/fal-jobs/job-x", json={"owner": "somebody", "group": "else"}, headers=ADMIN)
    for query in ("", "?owner=user-1", "?group=g"):
        answer = await closed.client.get(f"/api/fal-jobs{query}", headers=caller.headers)
        judge(answer, caller, {FULL: 200, OWNS: 200, SEES: 200, BLIND: 200})
        if answer.status_code == 200:
            found = {job["requestId"] for job in answer.json()["jobs"]}
            assert ("job-1" in found) == (caller.access in STATUS.keys() - {BLIND})
            assert "job-x" not in found or caller.access == FULL


async def test_what_needs_no_key(closed: Node) -> None:
    """fal has none, a balancer has none; the page shows nothing by itself."""
    for path in ("/healthz", "/readyz"):
        assert (await closed.client.get(path)).status_code == 200
    assert (await closed.post_webhook(closed.fal.webhook("job-1"))).json() == {"status": "accepted"}


@pytest.mark.parametrize("path", ["/api/fal-jobs/{}", "/api/fal-jobs/{}/events", "/api/fal-jobs/events?requestId={}"])
async def test_a_hidden_job_is_answered_as_an_unknown_one(closed: Node, path: str) -> None:
    headers = {"Authorization": f"Bearer {token(sub='user-2', groups=['h'])}"}
    answers = [await closed.client.get(path.format(name), headers=headers) for name in ("job-1", "job-0")]
    assert {answer.status_code for answer in answers} == {404}
    heads = [await closed.client.head(path.format(name), headers=headers) for name in ("job-1", "job-0")]
    assert {answer.status_code for answer in heads} == {404}
    texts = {answer.text.replace("job-1", "*").replace("job-0", "*") for answer in answers}
    assert len(texts) == 1
