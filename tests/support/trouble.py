"""Two nodes under load while the bus between them fails, and the latency of each state."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from support.chaos import LONG, Chaos, sized, spread
from support.falhost import running_falhost
from support.sender import Outcome, Sender, outcomes, verify
from support.served import Served, running_served
from support.watchers import Ledger, Watcher, Watching, watching

RATE = 200
CALM_SECONDS = sized(0.2, 5.0)
RECOVERY_SECONDS = sized(0.5, 3.0)  # approximate; determines the length of the load
NAMES_A_STREAM = 100
OPENED_AHEAD = sized(4, 20)  # streams; some others are opened during each fault
LATEST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure that begins, lasts `seconds`, and ends."""

    seconds: float
    begin: Callable[[], Awaitable[object]]
    end: Callable[[], Awaitable[object]]


class Trouble:
    """The faults, one at a time in random order; `now` names the phase."""

    def __init__(self, chaos: Chaos, nodes: list[Served], faults: Mapping[str, Fault]) -> None:
        self.now = "calm"
        self.phases: dict[str, str] = {}  # by webhook: the phase in which it was sent
        self._chaos = chaos
        self._nodes = nodes
        self._faults = faults

    async def run(self) -> None:
        """Run all faults."""
        names = list(self._faults)
        self._chaos.random.shuffle(names)
        for name in names:
            fault = self._faults[name]
            await asyncio.sleep(CALM_SECONDS)
            self.now = name
            await fault.begin()
            await asyncio.sleep(fault.seconds)
            await fault.end()
            self.now = "recovery"
            for node in self._nodes:
                await node.healthy(self._chaos.web)
            self.now = "calm"
            await asyncio.sleep(CALM_SECONDS)

    def sent(self, ended: list[Outcome], running: Watching, watchers: list[Watcher]) -> Iterator[Outcome]:
        """Yield the webhooks; record the phase of each, and open its stream some time before."""
        for number, outcome in enumerate(ended):
            if number % NAMES_A_STREAM == 0:
                first = number // NAMES_A_STREAM + OPENED_AHEAD
                running.add(watchers[first : first + 1])
            self.phases[outcome.name] = self.now
            yield outcome


async def cost_only_speed(chaos: Chaos, settings: Mapping[str, object], faults: Mapping[str, Fault]) -> None:
    """Assert that faults lose and reject nothing, delay no state beyond the limit, and leave no lasting slowdown."""
    seconds = sum(fault.seconds for fault in faults.values()) + len(faults) * (2 * CALM_SECONDS + RECOVERY_SECONDS)
    ended = outcomes((f"job-{number}" for number in range(round(RATE * seconds))), chaos.random)
    names = [outcome.name for outcome in ended]
    async with (
        running_falhost(chaos.key) as fal,
        running_served(chaos.folder, {**settings, **fal}, count=2) as nodes,
    ):
        ports = [node.port for node in nodes]
        ledger = Ledger()
        watchers = [
            Watcher(names[start : start + NAMES_A_STREAM], ports, ledger, chaos.random)
            for start in range(0, len(names), NAMES_A_STREAM)
        ]
        for node in nodes:
            await node.healthy(chaos.web)
        trouble = Trouble(chaos, nodes, faults)
        sender = Sender(chaos.key, ports, chaos.random, chaos.web)
        async with watching(watchers[:OPENED_AHEAD]) as running, asyncio.TaskGroup() as group:
            group.create_task(trouble.run())
            await sender.load(trouble.sent(ended, running, watchers), RATE)
            await running.ended()
        problems = await verify(chaos.web, ports, ended, ledger, versions=lambda _: 1)
    chaos.note(f"  {dict(sender.answers)}")
    delays = _delays(trouble, watchers, sender)
    for phase, times in delays.items():
        chaos.note(f"  {phase}: {spread(times)}")
    assert problems == []
    assert [line for node in nodes for line in node.complaints()] == []
    assert set(sender.answers) == {"200 accepted"}
    if LONG:
        assert max(max(times) for times in delays.values() if times) <= LATEST_SECONDS
        assert sorted(delays["calm"])[int(len(delays["calm"]) * 0.9)] < 0.1


def _delays(trouble: Trouble, watchers: list[Watcher], sender: Sender) -> dict[str, list[float]]:
    """Return the delays from webhook to each watcher, in seconds, by the webhook's phase."""
    delays: dict[str, list[float]] = {}
    for watcher in watchers:
        for name, moment in watcher.ends.items():
            delays.setdefault(trouble.phases[name], []).append(moment - sender.taken[name])
    return delays
