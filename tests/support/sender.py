"""Sends signed webhooks as fal does: retried, freshly signed, until accepted. Only the gaps are shorter."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
from msgspec import Struct
from nacl.signing import SigningKey

from support.fal import sign
from support.watchers import Ledger
from support.web import NETWORK, Web

ATTEMPT_SECONDS = 10.0  # fal's are 15 s and 120 s
FIRST_GAP_SECONDS = 0.1
LONGEST_GAP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ends at fal."""

    name: str
    seed: int
    error: bool = False

    def webhook(self) -> bytes:
        """Return the body of fal's webhook."""
        base: dict[str, Any] = {"request_id": self.name, "gateway_request_id": self.name, "error": None}
        if self.error:
            base |= {"status": "ERROR", "error": f"model error {self.seed}"}
        else:
            base |= {"status": "OK", "payload": {"seed": self.seed}}
        return json.dumps(base).encode()


def outcomes(names: Iterable[str], random: Random) -> list[Outcome]:
    """Return an outcome per name: one in ten fails; results are distinct, with integers beyond 2^53."""
    return [Outcome(name, random.randrange(2**60, 2**62), random.random() < 0.1) for name in names]


class Sender:
    """Sends webhooks. `taken` maps each job to the start of its accepted attempt, on the event loop's clock."""

    def __init__(self, key: SigningKey, ports: Sequence[int], random: Random, web: Web) -> None:
        self.taken: dict[str, float] = {}
        self.answers: Counter[str] = Counter()
        self.under_way = 0
        self._key = key
        self._ports = ports
        self._random = random
        self._web = web

    async def deliver(self, outcome: Outcome) -> None:
        """Send the webhook until it is accepted."""
        self.under_way += 1
        gap = FIRST_GAP_SECONDS
        while not await self.attempt(outcome):
            await asyncio.sleep(gap * self._random.uniform(0.5, 1.0))
            gap = min(gap * 2, LONGEST_GAP_SECONDS)
        self.under_way -= 1

    async def load(
        self, webhooks: Iterable[Outcome], rate: float, *, until: Callable[[], bool] = lambda: False
    ) -> None:
        """Send `rate` webhooks a second; return once all begun are accepted. `until` stops beginning new ones."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        async with asyncio.TaskGroup() as group:
            for number, outcome in enumerate(webhooks):
                group.create_task(self.deliver(outcome))
                await asyncio.sleep(begun + (number + 1) / rate - clock())
                if until():
                    break

    async def attempt(self, outcome: Outcome) -> bool:
        """Send the webhook once, and return whether it was accepted."""
        name, body = outcome.name, outcome.webhook()
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                status, answer = await self._web.request(
                    self._random.choice(self._ports),
                    "POST",
                    "/api/webhooks/fal",
                    headers=sign(body, self._key, request_id=name),
                    body=body,
                )
        except NETWORK:
            self.answers["network error"] += 1
            return False
        said: dict[str, Any] = json.loads(answer)
        self.answers[f"{status} {said.get('code') or said['status']}"] += 1
        if 200 <= status < 300:
            self.taken.setdefault(name, began)
            return True
        return False


class _Job(Struct, rename="camel"):
    status: str
    version: int
    result: dict[str, int] | None
    error: str | None


async def verify(
    web: Web, ports: Sequence[int], ended: Sequence[Outcome], ledger: Ledger, *, versions: Callable[[str], int]
) -> list[str]:
    """Poll each job, and return what is lost or wrong, the ledger's findings included. Empty = no errors."""
    await web.close()  # drop connections to servers that have died since
    found = []
    for number, outcome in enumerate(ended):
        status, body = await web.settled(ports[number % len(ports)], "GET", f"/api/fal-jobs/{outcome.name}")
        if status != 200:
            found.append(f"lost: {outcome.name} is answered {status}")
            continue
        ledger.see(body)
        job = msgspec.json.decode(body, type=_Job)
        wanted = _Job("failed", versions(outcome.name), None, f"model error {outcome.seed}")
        if not outcome.error:
            wanted = _Job("completed", versions(outcome.name), {"seed": outcome.seed}, None)
        if job != wanted:
            found.append(f"{'lost' if job.status == 'pending' else 'wrong'}: {outcome.name} is {job}, not {wanted}")
    return found + ledger.wrong
