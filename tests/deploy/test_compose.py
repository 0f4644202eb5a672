"""deploy/compose.yaml and compose.single.yaml: what they ask for, and their very commands and settings at work."""

import asyncio
import json
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from hookcast.client import Hookcast
from hookcast.settings import Settings
from support.access import ADMIN, API_KEY
from support.deploy import (
    COMPOSE_FILES,
    DEPLOY,
    Backends,
    Compose,
    Deployed,
    Fal,
    composed,
    deployed,
    here,
    interpolated,
    running_caddy,
)
from support.ports import quiet_port
from support.server import until

pytestmark = pytest.mark.anyio
CLIENT = "127.0.0.7"  # not the address from which Caddy speaks
ENDPOINT = "fal-ai/flux/dev"
DEADLINE = 40.0
RESULT = {"seed": 2**60}


@pytest.fixture(params=COMPOSE_FILES, scope="module")
def file(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    return str(request.param)


@pytest.fixture(scope="module")
def parsed(file: str, tmp_path_factory: pytest.TempPathFactory, filled: dict[str, str]) -> Compose:
    """The file with everything filled in."""
    return composed(file, tmp_path_factory.mktemp("compose"), filled)


def test_it_follows_the_compose_specification(file: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["DOMAIN", "FAL_KEY", "HOOKCAST_API_KEYS", "HOOKCAST_TOKEN_SECRET", "POSTGRES_PASSWORD"]
)
def test_what_has_to_be_filled_in_is_named(name: str, tmp_path: Path, filled: dict[str, str]) -> None:
    """An empty value, as in .env.example, counts as missing."""
    done = interpolated("compose.yaml", tmp_path, filled | {name: ""})
    assert done.returncode != 0
    assert f"required variable {name} is missing a value: put " in done.stderr


def test_what_has_to_be_filled_in_is_in_the_example(file: str, filled: dict[str, str]) -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / file).read_text()))
    example = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert needed <= example.keys() == filled.keys()
    assert not any(example.values())


def test_no_secret_stands_in_it(file: str) -> None:
    for service in yaml.safe_load((DEPLOY / file).read_text())["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("KEYS?$|SECRET$|PASSWORD$|DATABASE_URL$", name):
                assert "${" in value or value.startswith("sqlite:"), name


def test_every_container_is_locked_down_and_watched(parsed: Compose) -> None:
    """Read-only, without capabilities, started again, its log bounded, its health known."""
    for name, service in parsed.services.items():
        spec = service.spec
        assert spec["read_only"], name
        assert spec["cap_drop"] == ["ALL"], name
        assert spec.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
        assert spec["security_opt"] == ["no-new-privileges:true"], name
        assert spec["restart"] == "unless-stopped", name
        assert spec["logging"]["options"]["max-size"], name
        assert spec["healthcheck"]["test"][0] == "CMD", name
        assert re.fullmatch(r"hookcast|(caddy|postgres|redis):[\d.]+-\w+", spec["image"]), name


def test_a_node_has_the_time_to_drain(parsed: Compose) -> None:
    """The engine kills it later than that."""
    for service in parsed.nodes.values():
        grace = re.fullmatch(r"(\d+)s", service.spec["stop_grace_period"])
        assert grace is not None
        assert int(grace[1]) > Settings.model_fields["drain_seconds"].default


def test_only_caddy_is_believed(parsed: Compose) -> None:
    """The network that is believed has Caddy and the nodes in it, and nothing else."""
    [network] = parsed.networks["front"]["ipam"]["config"]
    believed = {service.environment["HOOKCAST_FORWARDED_ALLOW_IPS"] for service in parsed.nodes.values()}
    assert believed == {network["subnet"]}
    assert _in(parsed, "front") == {"caddy", *parsed.nodes}


def test_only_caddy_is_reached_from_outside(parsed: Compose) -> None:
    """The network of the databases leads nowhere."""
    assert {name for name, service in parsed.services.items() if "ports" in service.spec} == {"caddy"}
    for name in parsed.services.keys() - {"caddy", *parsed.nodes}:
        assert parsed.services[name].spec["networks"] == ["back"]
        assert parsed.networks["back"]["internal"]


def _in(parsed: Compose, network: str) -> set[str]:
    return {name for name, service in parsed.services.items() if network in service.spec["networks"]}


@dataclass
class Stack:
    """A compose file's processes on this machine."""

    url: str
    compose: Compose
    nodes: list[Deployed]
    http: httpx.AsyncClient  # through Caddy, with an API key
    client: Hookcast
    fal: Fal

    async def finish(self, request_id: str) -> None:
        """Send a job's webhook through Caddy; again, as fal does, until it is taken."""
        base = {"request_id": request_id, "gateway_request_id": request_id, "status": "OK", "error": None}
        body = json.dumps({**base, "payload": RESULT}).encode()
        async with asyncio.timeout(DEADLINE):
            while (await self._post(body)).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def _post(self, body: bytes) -> httpx.Response:
        return await self.http.post("/api/webhooks/fal", content=body, headers=self.fal.headers(body))

    def watch(self, request_id: str) -> asyncio.Task[Any]:
        """Watch a job until it ends; its result."""
        return asyncio.ensure_future(self.client.wait(request_id, timeout=DEADLINE))

    async def watch_at_both(self, *request_ids: str) -> list[asyncio.Task[Any]]:
        """Watch each of them twice; Caddy spreads the streams over the nodes."""
        watching: list[asyncio.Task[Any]] = []
        async with asyncio.timeout(DEADLINE):
            for request_id in request_ids * 2:
                watching.append(self.watch(request_id))
                while sum(await self._streams()) < len(watching):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        assert all(await self._streams())
        return watching

    async def _streams(self) -> list[float]:
        """How many streams each node has."""
        found = []
        async with httpx.AsyncClient(headers=ADMIN) as client:
            for node in self.nodes:
                text = (await client.get(f"http://127.0.0.1:{node.port}/metrics")).text
                found.append(sum(map(float, re.findall(r"^hookcast_streams\{.*\} (\S+)", text, re.MULTILINE))))
        return found


@asynccontextmanager
async def running_stack(
    file: str, folder: Path, filled: dict[str, str], places: dict[str, str], fal: Fal
) -> AsyncIterator[Stack]:
    """Start its nodes and its proxy; `places` are where on this machine the other containers are."""
    domain = f"127.0.0.1:{quiet_port()}"
    more = {"HOOKCAST_DRAIN_SECONDS": "1", **fal.settings}  # streams come back sooner than in production
    values = {**filled, **more, "DOMAIN": domain, "SUBNET": "127.0.0.1/32"}
    compose = composed(file, folder, values)
    data = folder / "data"  # where the image works; no .env is there
    data.mkdir()
    nodes = {
        name: Deployed(data, here(service.environment, {"0.0.0.0": "127.0.0.1", **places}), service.command)  # noqa: S104
        for name, service in compose.nodes.items()
    }
    ports = {f"{name}:8000": f"127.0.0.1:{node.port}" for name, node in nodes.items()}
    caddy = compose.services["caddy"]
    caddy = replace(caddy, environment=here(caddy.environment, ports))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(deployed(*nodes.values()))
        certificate = await stack.enter_async_context(running_caddy(folder, caddy))
        trusting = ssl.create_default_context(cafile=str(certificate))

        def transport() -> httpx.AsyncHTTPTransport:
            return httpx.AsyncHTTPTransport(verify=trusting, local_address=CLIENT)

        url = f"https://{domain}"
        client = httpx.AsyncClient(base_url=url, headers=ADMIN, timeout=DEADLINE, transport=transport())
        http = await stack.enter_async_context(client)
        hookcast = await stack.enter_async_context(Hookcast(url, token=API_KEY, transport=transport()))
        yield Stack(url, compose, list(nodes.values()), http, hookcast, fal)


@pytest.fixture(scope="module")
async def two_nodes(
    tmp_path_factory: pytest.TempPathFactory, filled: dict[str, str], falhost: Fal, backends: Backends
) -> AsyncIterator[Stack]:
    """compose.yaml at work."""
    folder = tmp_path_factory.mktemp("two")
    places = {"postgres:5432/hookcast": backends.database, "redis:6379": backends.redis}
    async with running_stack("compose.yaml", folder, filled, places, falhost) as stack:
        yield stack


@pytest.fixture(scope="module")
async def one_node(
    tmp_path_factory: pytest.TempPathFactory, filled: dict[str, str], falhost: Fal
) -> AsyncIterator[Stack]:
    """compose.single.yaml at work."""
    folder = tmp_path_factory.mktemp("one")
    places = {"sqlite:////data": f"sqlite:///{folder}/data"}
    async with running_stack("compose.single.yaml", folder, filled, places, falhost) as stack:
        yield stack


async def test_two_nodes_are_one_service(two_nodes: Stack) -> None:
    """Each watcher gets the end of a job, whichever node has its stream and whichever one took the webhook."""
    submitted = await two_nodes.client.submit(ENDPOINT, {"prompt": "a cat"})
    watching = await two_nodes.watch_at_both(submitted.request_id)
    await two_nodes.finish(submitted.request_id)
    assert await asyncio.gather(*watching) == [RESULT] * 2


async def test_nodes_that_restart_one_by_one_lose_nothing(two_nodes: Stack) -> None:
    """Neither the streams that they had nor the webhooks that come meanwhile; each stops in order."""
    names = ["job-1", "job-2", "job-3"]
    for name in names:
        (await two_nodes.http.put(f"/api/fal-jobs/{name}", json={})).raise_for_status()
    watching = await two_nodes.watch_at_both(*names)
    for node, name in zip(two_nodes.nodes, names[:2], strict=True):
        assert await node.stop() == 0
        await two_nodes.finish(name)
        await node.start()
    await two_nodes.finish(names[2])
    assert await asyncio.gather(*watching) == [RESULT] * 6
    assert [node.complaints() for node in two_nodes.nodes] == [[], []]


async def test_the_address_of_a_client_is_taken_from_caddy_alone(two_nodes: Stack) -> None:
    """What the client says of itself counts for nothing, through Caddy or past it."""
    liar = {"X-Forwarded-For": "203.0.113.9"}
    await two_nodes.http.post("/api/webhooks/fal", content=b"{}", headers=liar)
    past = httpx.AsyncHTTPTransport(local_address="127.0.0.8")
    async with httpx.AsyncClient(transport=past) as client:
        await client.post(f"http://127.0.0.1:{two_nodes.nodes[0].port}/api/webhooks/fal", content=b"{}", headers=liar)

    def refused() -> list[str]:
        lines = [line for node in two_nodes.nodes for line in node.log.read_text().splitlines()]
        return [record["client"] for record in map(json.loads, lines) if record.get("code") == "signature_missing"]

    await until(lambda: len(refused()) == 2)  # a thread writes the log
    assert sorted(refused()) == [CLIENT, "127.0.0.8"]


async def test_one_node_keeps_its_jobs_and_caddy_holds_requests_while_it_restarts(one_node: Stack) -> None:
    """A browser that comes meanwhile is answered when it is back."""
    [node] = one_node.nodes
    submitted = await one_node.client.submit(ENDPOINT, {"prompt": "a cat"})
    assert await node.stop() == 0
    asking = asyncio.ensure_future(one_node.http.get(f"/api/fal-jobs/{submitted.request_id}"))
    finishing = asyncio.ensure_future(one_node.finish(submitted.request_id))
    await node.start()
    assert (await asking).json()["requestId"] == submitted.request_id
    await finishing
    assert await one_node.watch(submitted.request_id) == RESULT


async def test_the_health_check_of_a_node_tells_whether_it_serves(one_node: Stack) -> None:
    """It is what `docker compose up --wait` and the other services wait for."""
    [node] = one_node.nodes
    check = one_node.compose.nodes["node"].spec["healthcheck"]["test"][1:]
    assert await node.run(check) == 0
    await node.stop()
    assert await node.run(check) == 1
    await node.start()
