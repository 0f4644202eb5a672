"""fal's webhooks never come."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from hookcast.emulator import begin_shutdown, create_emulator
from hookcast.emulator.queue import ENDS
from hookcast.upkeep.follower import MAX_FOLLOWED
from hookcast.upkeep.reconciler import ASKS_A_LOOK, LOOK_SECONDS
from support.chaos import LONG, Chaos, sized
from support.fal import ENDPOINT
from support.falhost import served_app
from support.served import Served, running_served
from support.watchers import Ledger, Watcher, watching

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 600))]
DEADLINE = sized(280, 560)
WATCHED = sized(40, 500)
UNWATCHED = sized(0, 500)  # nobody asks about them before ASK_EVERY_SECONDS
SPEED = sized(16.0, 1.0)
SUBMITS_AT_ONCE = 20
WATCHED_SECONDS = 10.0
UNWATCHED_SECONDS = 90.0
SHORTEST_LOOK = LOOK_SECONDS * 0.8


class _Counted:
    """An ASGI application, and what it is asked."""

    def __init__(self, app: ASGIApp) -> None:
        self.asked: list[tuple[float, str, str]] = []  # when, what, of which job
        self.most_streams = 0
        self._app = app
        self._streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count, then pass on."""
        _, _, rest = scope.get("path", "").partition("/requests/")
        if not rest:
            return await self._app(scope, receive, send)
        name, _, what = rest.partition("/")
        self.asked.append((asyncio.get_running_loop().time(), what or "result", name))
        self._streams += what == "status/stream"
        self.most_streams = max(self.most_streams, self._streams)
        try:
            await self._app(scope, receive, send)
        finally:
            self._streams -= what == "status/stream"
        return None

    def times(self, what: str) -> list[float]:
        """When it was asked that."""
        return [when for when, asked, _ in self.asked if asked == what]

    def most_often(self, what: str) -> int:
        """How often it was asked that of one job."""
        return max(Counter(name for _, asked, name in self.asked if asked == what).values(), default=0)


async def _submit(chaos: Chaos, node: Served, count: int) -> dict[str, float]:
    """Jobs whose webhook is lost; when each is complete at fal."""
    wishes = {"faults": ["webhook_lost"], "speed": SPEED}
    body = json.dumps({"endpointId": ENDPOINT, "input": {"prompt": "x", "_emulator": wishes}}).encode()
    turns = asyncio.Semaphore(SUBMITS_AT_ONCE)

    async def one() -> tuple[str, float]:
        async with turns:
            status, answer = await chaos.web.request(node.port, "POST", "/api/fal-jobs", body=body)
        assert status == 202, answer
        return json.loads(answer)["requestId"], asyncio.get_running_loop().time() + ENDS / SPEED

    return dict(await asyncio.gather(*(one() for _ in range(count))))


async def _seen_by_polling(chaos: Chaos, node: Served, names: Iterable[str], ledger: Ledger) -> dict[str, float]:
    """When polling found the end of each."""
    found: dict[str, float] = {}
    pending = set(names)
    while pending:
        for name in tuple(pending):
            status, body = await chaos.web.settled(node.port, "GET", f"/api/fal-jobs/{name}")
            assert status == 200
            if ledger.see(body).status == "completed":
                found[name] = asyncio.get_running_loop().time()
                pending.discard(name)
        await asyncio.sleep(0.5)
    return found


def _late(seen: dict[str, float], complete: dict[str, float]) -> float:
    return max((seen[name] - complete[name] for name in complete), default=0.0)


async def test_no_job_needs_its_webhook(chaos: Chaos) -> None:
    """Watched jobs end soon after fal has finished them, others a while later; fal is asked no more than is allowed."""
    emulator = create_emulator()
    counted = _Counted(emulator)
    ledger = Ledger()
    async with asyncio.timeout(DEADLINE), served_app(counted, lambda: begin_shutdown(emulator)) as url:
        fal = {"fal_queue_url": url, "fal_jwks_url": f"{url}/.well-known/jwks.json", "fal_key": "any"}
        database = f"sqlite:///{chaos.folder / 'hookcast.db'}"
        async with running_served(chaos.folder, {"database_url": database, **fal}) as nodes:
            begun = asyncio.get_running_loop().time()
            watched = await _submit(chaos, nodes[0], WATCHED)
            watchers = [Watcher([name], [nodes[0].port], ledger, chaos.random) for name in watched]
            async with watching(watchers) as running:
                unwatched = await _submit(chaos, nodes[0], UNWATCHED)
                await running.ended()
            ends = {name: end for watcher in watchers for name, end in watcher.ends.items()}
            polled = await _seen_by_polling(chaos, nodes[0], unwatched, ledger)
            await _seen_by_polling(chaos, nodes[0], watched, ledger)
            complaints = nodes[0].complaints()
    lasted = asyncio.get_running_loop().time() - begun
    asks = counted.times("status")
    per_second = max((sum(0 <= later - when < 1 for later in asks) for when in asks), default=0)
    chaos.note(f"  {WATCHED} watched, the latest {_late(ends, watched):.2f} s after its completion at fal")
    chaos.note(f"  {UNWATCHED} unwatched, the latest {_late(polled, unwatched):.2f} s")
    kinds = dict(Counter(what for _, what, _ in counted.asked))
    chaos.note(f"  fal was asked {kinds}, status {per_second} times a second, {counted.most_streams} streams at once")
    assert ledger.wrong == []
    assert complaints == []
    assert _late(ends, watched) <= WATCHED_SECONDS
    assert _late(polled, unwatched) <= UNWATCHED_SECONDS
    assert counted.most_streams <= MAX_FOLLOWED
    assert len(asks) <= ASKS_A_LOOK * (lasted / SHORTEST_LOOK + 1)
    assert per_second <= 2 * ASKS_A_LOOK
    assert counted.most_often("result") <= 2
    assert not LONG or len(asks) >= UNWATCHED
