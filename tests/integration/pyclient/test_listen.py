"""`hookcast listen` as a developer runs it: a server's webhooks on their machine, without a tunnel."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.access import API_KEY, SETTINGS, token
from support.commands import COMMAND, DEADLINE, clean_environment, hookcast, on_screen
from support.fal import ENDPOINT, FalDouble, LiveStream
from support.ports import quiet_port
from support.receiver import OTHER_SECRET, SECRET, Delivery, Receiver, running_receiver
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio


class Listening:
    """The command with pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> dict[str, Any]:
        """The next line about a delivery."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            found: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return found

    async def said(self, mark: str) -> str:
        """The line of standard error with this text."""
        assert self.process.stderr is not None
        async with asyncio.timeout(DEADLINE):
            while mark not in (text := (await self.process.stderr.readline()).decode()):
                assert text, f"{mark!r} was not said"
        return text


@asynccontextmanager
async def listening(
    folder: Path, node: Node, receiver: Receiver, *options: str, **env: str
) -> AsyncIterator[Listening]:
    """Run the command until the end of the block; begin when it is connected."""
    given = ("listen", "--forward-to", f"{receiver.url}/hook", "--url", node.url, *options)
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *given,
        cwd=folder,
        env=clean_environment({"HOOKCAST_FORWARD_SECRET": SECRET, **env}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await until(lambda: "all" in set(node.engine.hub))
        yield Listening(process)
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(DEADLINE):
            assert await process.wait() == 130


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The developer's route."""
    async with running_receiver() as running:
        yield running


async def end(node: Node, name: str, **fields: Any) -> None:
    """Send the webhook that ends a job."""
    assert (await node.post_webhook(node.fal.webhook(name, **fields))).status_code == 200


async def test_the_webhooks_are_those_that_the_server_sends(
    tmp_path: Path, fal: FalDouble, any_database_url: str, receiver: Receiver
) -> None:
    """The same ids and bodies, signed by the secret; one line each; jobs that ended before are not told."""
    async with running_receiver() as backend:
        given = {"forward_url": backend.url, "forward_secret": OTHER_SECRET, "database_url": any_database_url}
        async with running_node(fal, **given) as node:
            await end(node, "before")
            await _compare(tmp_path, node, receiver, backend)


async def _compare(folder: Path, node: Node, receiver: Receiver, backend: Receiver) -> None:
    async with listening(folder, node, receiver) as command:
        await node.register("job-1", owner="user-1", metadata={"n": 12345678901234567890})
        await end(node, "job-1", payload={"a": "\u2028é", "n": 2**60})
        await end(node, "job-2", status="ERROR", error="No.", payload={"detail": "Too rude."})
        await receiver.received(2)
        await backend.received(3)
        await node.register("job-1", group="g")  # later, and no end
        await node.register("before", group="g")
        await end(node, "job-3")
        told = {delivery.event["data"]["requestId"]: delivery for delivery in await receiver.received(3)}
        lines = [await command.line() for _ in range(3)]
        sent = {delivery.event["data"]["requestId"]: delivery for delivery in await backend.received(4)}
    assert told.keys() == {"job-1", "job-2", "job-3"}
    for name, delivery in told.items():
        assert (delivery.id, delivery.body) == (sent[name].id, sent[name].body)
        assert delivery.verified() == sent[name].verified(OTHER_SECRET)
    assert told["job-2"].event["type"] == "job.failed"
    assert told["job-1"].path == "/hook"
    assert {(line["requestId"], line["webhookId"], line["status"]) for line in lines} == {
        (name, delivery.id, 200) for name, delivery in told.items()
    }


async def test_a_receiver_that_is_down_is_tried_again_and_then_given_up(
    tmp_path: Path, node: Node, receiver: Receiver
) -> None:
    """Each attempt is a line, with the same id; other jobs go on."""
    receiver.decide = _down_for("bad")
    async with listening(tmp_path, node, receiver) as command:
        await end(node, "bad")
        lines = [await command.line() for _ in range(4)]
        await end(node, "good")
        last = await command.line()
    assert [(line["status"], line["retryIn"]) for line in lines] == [(500, 0.5), (500, 2.0), (500, 5.0), (500, None)]
    assert len({line["webhookId"] for line in lines}) == 1
    assert (last["requestId"], last["status"], last["retryIn"]) == ("good", 200, None)


def _down_for(name: str) -> Any:
    def decide(delivery: Delivery) -> int:
        return 500 if delivery.event["data"]["requestId"] == name else 200

    return decide


async def test_a_receiver_that_is_not_there_says_so(tmp_path: Path, node: Node, receiver: Receiver) -> None:
    receiver.url = f"http://127.0.0.1:{quiet_port()}"
    async with listening(tmp_path, node, receiver) as command:
        await end(node, "job-1")
        line = await command.line()
    assert (line["status"], line["retryIn"]) == (None, 0.5)
    assert "Connect" in line["error"]


async def test_what_ended_during_a_restart_is_told_after_it(tmp_path: Path, fal: FalDouble, receiver: Receiver) -> None:
    """Once, also if it was not seen before."""
    given: dict[str, Any] = {"database_url": f"sqlite:///{tmp_path}/jobs.db", "drain_seconds": 0.1}
    async with running_node(fal, **given) as first, listening(tmp_path, first, receiver) as command:
        await first.register("job-1")
        await end(first, "job-2")
        assert (await command.line())["requestId"] == "job-2"
        first.engine.admission.drain()
        await until(lambda: not first.engine.admission.streams)
        for name in ("job-1", "job-3"):
            await end(first, name)
        first.engine.admission.draining = False
        assert {(await command.line())["requestId"] for _ in range(2)} == {"job-1", "job-3"}
    assert sorted(event["data"]["requestId"] for event in receiver.events) == ["job-1", "job-2", "job-3"]


async def test_starts_and_progress_come_where_they_are_asked_for(
    tmp_path: Path, node: Node, receiver: Receiver
) -> None:
    """Of a job that somebody watches; and no more of the ends then."""
    live = LiveStream()
    node.fal.script("/status/stream", live)
    async with listening(tmp_path, node, receiver, "--events", "job.started,job.progress"):
        await node.register("job-1", endpointId=ENDPOINT)
        async with node.events("job-1"):
            await until(lambda: live.opened)
            live.tell({"status": "IN_QUEUE", "queue_position": 3})
            await receiver.received(1)
            live.tell({"status": "IN_PROGRESS", "logs": [{"message": "50%", "timestamp": "t1"}]})
            await receiver.received(2)
            await end(node, "job-1")
        await end(node, "job-2")
    assert [event["type"] for event in receiver.events] == ["job.progress", "job.started"]


async def test_without_a_secret_a_new_one_is_printed(tmp_path: Path, node: Node, receiver: Receiver) -> None:
    """Once, to standard error; --secret wins over the environment."""
    async with listening(tmp_path, node, receiver, HOOKCAST_FORWARD_SECRET="") as command:
        [secret] = re.findall(r"whsec_\S+", await command.said("new secret"))
        await end(node, "job-1")
        [told] = await receiver.received(1)
        assert told.verified(secret)["type"] == "job.completed"
    async with listening(tmp_path, node, receiver, "--secret", OTHER_SECRET):
        await end(node, "job-2")
        await receiver.received(2)
    assert receiver.deliveries[1].verified(OTHER_SECRET)["type"] == "job.completed"


async def test_on_a_terminal_a_delivery_is_a_line_to_read(tmp_path: Path, node: Node, receiver: Receiver) -> None:
    """Time, event, job, status, milliseconds; Ctrl-C ends it."""
    receiver.script.append(503)
    arguments = ("listen", "--forward-to", f"{receiver.url}/hook", "--url", node.url, "--secret", SECRET)
    screen = await on_screen(tmp_path, *arguments)
    try:
        await until(lambda: "all" in set(node.engine.hub))
        await end(node, "job-1")
        await until(lambda: "200" in screen.text)
        screen.type(b"\x03")
        assert await screen.code() == 130
    finally:
        await screen.close()
    assert re.search(r"\d\d:\d\d:\d\d  job\.completed  job-1  503  \d+ ms; trying again in 0\.5 s\r?\n", screen.text)
    assert re.search(r"\d\d:\d\d:\d\d  job\.completed  job-1  200  \d+ ms\r?\n", screen.text)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--forward-to", "127.0.0.1:3000/hook"), "--forward-to must be an http"),
        (("--forward-to", "http://127.0.0.1:3000/#a"), "--forward-to must be an http"),
        (("--forward-to", "http://127.0.0.1:3000/", "--events", "job.done"), "--events must be some of job.completed"),
        (("--forward-to", "http://127.0.0.1:3000/", "--secret", "whsec_short"), "--secret must be whsec_"),
    ],
)
async def test_a_wrong_option_is_one_line(tmp_path: Path, options: tuple[str, ...], reason: str) -> None:
    said = await hookcast(tmp_path, "listen", *options)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(f"hookcast: {reason}")
    assert "whsec_short" not in said.err


async def test_without_a_server_or_an_api_key_it_ends_at_once(
    tmp_path: Path, database_url: str, fal: FalDouble
) -> None:
    """And says what to do."""
    line = ("listen", "--forward-to", "http://127.0.0.1:3000/", "--secret", SECRET)
    said = await hookcast(tmp_path, *line, "--url", f"http://127.0.0.1:{quiet_port()}")
    assert (said.code, "No server answers" in said.err) == (1, True)
    async with running_node(fal, database_url=database_url, **SETTINGS) as node:
        for credential, reason in ((None, "HOOKCAST_TOKEN"), (token(sub="user-1"), "Only an API key")):
            env = {} if credential is None else {"HOOKCAST_TOKEN": credential}
            said = await hookcast(tmp_path, *line, "--url", node.url, **env)
            assert (said.code, reason in said.err) == (1, True)
        assert API_KEY not in said.err
