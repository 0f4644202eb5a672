"""What HTTP asks of any server: methods, hosts, blanks, numbers, tokens in URLs."""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from support.access import ADMIN, API_KEY, SECRET, SETTINGS, token
from support.fal import FalDouble, sign
from support.raw import UPGRADE, get, raw
from support.server import Node, running_node

pytestmark = pytest.mark.anyio
JOB = "/api/fal-jobs/job-1"
LONG = "9" * 5000


@pytest.fixture
async def closed(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server that asks for keys and tokens, with a job of user-1."""
    settings = {name: SETTINGS[name] for name in ("api_keys", "token_secret")}
    async with running_node(fal, database_url=database_url, **settings) as node:
        assert (await node.client.put(JOB, json={"owner": "user-1"}, headers=ADMIN)).status_code == 201
        yield node


METHODS = {
    "/api/webhooks/fal": "POST",
    "/api/fal-jobs": "GET, HEAD, POST",
    "/api/fal-jobs/events": "GET, HEAD",
    "/api/fal-jobs/ws": "GET, HEAD",
    JOB: "DELETE, GET, HEAD, PUT",
    f"{JOB}/events": "GET, HEAD",
    f"{JOB}/cancel": "POST",
    "/api/tokens": "POST",
    "/openapi.json": "GET, HEAD",
    "/healthz": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/metrics": "GET, HEAD",
    "/": "GET, HEAD",
}


@pytest.mark.parametrize("path", METHODS)
async def test_a_method_that_a_path_does_not_take_is_a_405_with_those_it_takes(node: Node, path: str) -> None:
    """As a problem with a stable code (RFC 9110 section 15.5.6)."""
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(METHODS[path].split(", ")):
        if path in {"/api/fal-jobs/events", "/api/fal-jobs/ws"} and method in {"PUT", "DELETE"}:
            continue  # a job with a reserved name: 400
        answer = await node.client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, METHODS[path]), method
        assert answer.json()["code"] == "method_not_allowed"
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/webhooks/fal/", "/api/webhook/fal", "/nothing", "/%00", f"/{'x' * 300}"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_where_there_is_nothing_it_is_a_404_for_every_method(node: Node, path: str, method: str) -> None:
    """Not a 405 that allows GET: who sends webhooks there looks for the method, not for the path."""
    answer = await node.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "There is nothing at" in answer.json()["detail"]


async def test_a_browser_at_the_webhooks_address_is_told_what_it_is(node: Node) -> None:
    """People paste it to see whether it works."""
    answer = await node.client.get("/api/webhooks/fal")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "accepts POST" in answer.json()["detail"]
    assert "fal sends its webhooks there, signed" in answer.json()["detail"]


HOSTS = {
    ("1.1", ()): 400,
    ("1.1", ("Host: a", "Host: a")): 400,
    ("1.1", ("Host: a", "Host: b")): 400,
    ("1.0", ("Host: a", "Host: b")): 400,
    ("1.1", ("Host: a b",)): 400,
    ("1.1", ("Host: a/b",)): 400,
    ("1.1", ("Host: user@a",)): 400,
    ("1.1", ("Host: a:b",)): 400,
    ("1.1", ("Host: \u00e9",)): 400,
    ("1.0", ()): 200,
    ("1.1", ("Host:",)): 200,
    ("1.1", ("Host: a.example:8000",)): 200,
    ("1.1", ("Host: my_service",)): 200,
    ("1.1", ("host:  [::1]:80 ",)): 200,
}


@pytest.mark.parametrize(("version", "hosts"), HOSTS)
async def test_a_request_has_one_valid_host(node: Node, version: str, hosts: tuple[str, ...]) -> None:
    """RFC 9112 section 3.2; a WebSocket's, too."""
    lines = "".join(f"{host}\r\n" for host in hosts).encode("latin-1")
    async with raw(node) as client:
        await client.send(f"GET /healthz HTTP/{version}\r\nConnection: close\r\n".encode() + lines + b"\r\n")
        answer = await client.rest()
        assert int(answer.split()[1]) == HOSTS[version, hosts]
        assert answer.count(b'"bad_request"') == (HOSTS[version, hosts] == 400)
    if version == "1.1":
        async with raw(node) as client:
            await client.send(UPGRADE.replace(b"Host: x\r\n", lines))
            await client.until(b"\r\n\r\n")
            assert int(client.seen.split()[1]) == {400: 400, 200: 101}[HOSTS[version, hosts]]


async def test_blanks_around_a_header_are_none_of_its_value(node: Node, closed: Node) -> None:
    """RFC 9110 section 5.5: of a webhook's signature, a credential, an entity tag."""
    body = node.fal.webhook("job-2")
    named = [f"{name}:\t {value} \t" for name, value in sign(body, node.fal.key).items()]
    async with raw(node) as client:
        await client.send(get("/api/webhooks/fal", *named, f"Content-Length: {len(body)}  ", method="POST") + body)
        await client.until(b'"accepted"')
    async with raw(closed) as client:
        await client.send(get(JOB, f"Authorization: \tBearer {API_KEY}\t ", 'If-None-Match:  "1" \t'))
        await client.until(b"304 Not Modified")


@pytest.mark.parametrize(
    "header",
    [
        f'If-None-Match: "{LONG}"',
        f'If-None-Match: W/"{LONG}", {LONG}',
        "If-None-Match: \u00b2",
        f"Last-Event-ID: {LONG}",
        f"Range: bytes={LONG}-",
        f"If-Modified-Since: Sat, 29 Oct {LONG} 19:43:31 GMT",
        f"Accept: application/openmetrics-text;version={LONG}",
        "Accept: application/openmetrics-text;version=a.b",
    ],
)
async def test_a_number_in_a_header_may_be_any(node: Node, header: str) -> None:
    """`int` raises for more than 4,300 digits."""
    await node.register("job-1")
    for path in (JOB, f"{JOB}?wait=0.001", "/metrics", "/api/fal-jobs", "/hookcast.js"):
        async with raw(node) as client:
            await client.send(get(path, header, "Connection: close"))
            assert int((await client.rest()).split()[1]) in {200, 400, 404}, path


@pytest.mark.parametrize("query", ["wait", "version", "limit"])
@pytest.mark.parametrize("value", [LONG, "-1", "1e1", "nan", "1_0", "", "\uff15", "0x1"])
async def test_a_number_in_a_query_is_plain_digits(node: Node, query: str, value: str) -> None:
    """Anything else is a 422."""
    path = "/api/fal-jobs" if query == "limit" else JOB
    answer = await node.client.get(path, params={query: value})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_token_in_a_url_opens_streams_and_one_job_and_nothing_else(closed: Node) -> None:
    """URLs end up in logs; only a browser's EventSource and WebSocket can send nothing else."""
    for credential in (API_KEY, token(sub="user-1")):
        params = {"token": credential}
        assert (await closed.client.get(JOB, params=params)).status_code == 200
        async with closed.client.stream("GET", f"{JOB}/events", params=params) as events:
            assert events.status_code == 200
        for method, path in (
            ("GET", "/api/fal-jobs"),
            ("GET", "/metrics"),
            ("POST", "/api/fal-jobs"),
            ("POST", "/api/tokens"),
            ("PUT", "/api/fal-jobs/job-2"),
            ("POST", f"{JOB}/cancel"),
        ):
            answer = await closed.client.request(method, path, params=params)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), (method, path)
            assert "Authorization" in answer.json()["detail"]
            assert SECRET not in answer.text


async def test_a_refused_handshake_is_no_error_of_the_server(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """Strangers would fill the log with them."""
    protocol = b"Sec-WebSocket-Protocol: nope\r\nUpgrade: websocket"
    for request in (
        UPGRADE.replace(b"Upgrade: websocket", protocol),
        UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: https://evil.example"),
        UPGRADE.replace(b"/api/fal-jobs/ws", b"/nothing"),
        UPGRADE.replace(b"Version: 13", b"Version: 99999999999999999999"),
    ):
        with capture_logs() as told:
            async with raw(node) as client:
                await client.send(request)
                assert int((await client.rest()).split()[1]) in {400, 403, 422}
        assert not told
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]
