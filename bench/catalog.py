"""The peers: how each starts, and its paths for subscribing and publishing. Their configurations are in `peers/`."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
TOOLS = ROOT / ".make" / "bench"
PEERS = HERE / "peers"


@dataclass(frozen=True, slots=True)
class Place:
    """Port and working folder of one server."""

    port: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """One row of the table. `command` may write configuration into the folder."""

    name: str
    title: str
    command: Callable[[Place], list[str]]
    subscribe_path: str
    websocket: bool = False
    message: str | None = None
    protocol: str | None = None
    tree: Path | None = None  # of Hookcast: the checkout that it runs from
    first_state: bool = False  # a new stream begins with the newest state
    authorises: bool = False  # checks a stream's token, a JWT that names its jobs
    several: Callable[[Sequence[str]], list[str]] | None = None  # the load generator's arguments for streams of topics

    def is_hookcast(self) -> bool:
        """Return whether it is Hookcast, of whatever commit."""
        return self.tree is not None

    def load_arguments(self) -> list[str]:
        """Return the load generator's arguments for this peer."""
        found = ["--subscribe-path", self.subscribe_path]
        found += ["--websocket"] if self.websocket else []
        found += ["--message", self.message] if self.message else []
        found += ["--protocol", self.protocol] if self.protocol else []
        return found


def _in_path(path: str) -> Callable[[Sequence[str]], list[str]]:
    """Return the arguments of a peer that takes topics in its path, separated by commas."""
    return lambda topics: ["--subscribe-path", path % ",".join(topics)]


def _floor_topics(path: str) -> Callable[[Sequence[str]], list[str]]:
    """Return the arguments for the floor, whose streams have one topic: it takes `burst.NAME` for `burst`."""
    return lambda _: ["--subscribe-path", path % "burst", "--publish-path", "/publish/burst.%s"]


def _hookcast_jobs(topics: Sequence[str]) -> list[str]:
    return ["--subscribe-path", "/api/fal-jobs/events?" + "&".join(f"requestId={topic}" for topic in topics)]


def _hookcast_subscribe(topics: Sequence[str]) -> list[str]:
    return ["--message", json.dumps({"type": "subscribe", "requestIds": list(topics)})]


def _centrifuge_subscribe(topics: Sequence[str]) -> list[str]:
    commands = [{"id": number, "subscribe": {"channel": topic}} for number, topic in enumerate(topics, 2)]
    return ["--message", "\n".join(map(json.dumps, [{"id": 1, "connect": {}}, *commands]))]


def floor(place: Place) -> list[str]:
    """Return the command of the C server, the lower bound of the cost."""
    return [str(TOOLS / "floor"), str(place.port)]


def nchan(place: Place) -> list[str]:
    """Return the command of Debian's nginx with its nchan module, one worker."""
    text = (PEERS / "nchan.conf").read_text()
    configuration = place.folder / "nginx.conf"
    configuration.write_text(text.replace("@PORT@", str(place.port)).replace("@FOLDER@", str(place.folder)))
    return ["/usr/sbin/nginx", "-p", str(place.folder), "-c", str(configuration), "-e", str(place.folder / "error.log")]


def python_of(tree: Path) -> list[str]:
    """Return the start of a command that runs the Hookcast of a checkout with the packages of this one."""
    return ["env", f"PYTHONPATH={tree / 'server'}", sys.executable]


def hookcast(name: str, title: str, tree: Path) -> list[Peer]:
    """Return the rows of the Hookcast in a checkout, which has a publish route besides its own: SSE, WebSocket."""

    def command(place: Place) -> list[str]:
        return [*python_of(tree), str(tree / "bench" / "peers" / "hookcast_server.py"), str(place.port)]

    sse = Peer(
        f"{name}-sse",
        f"{title}, SSE",
        command,
        "/api/fal-jobs/%s/events",
        tree=tree,
        first_state=True,
        several=_hookcast_jobs,
        authorises=(tree / "server" / "hookcast" / "auth").is_dir(),  # the first commits had no tokens
    )
    websocket = replace(
        sse,
        name=f"{name}-ws",
        title=f"{title}, WebSocket",
        subscribe_path="/api/fal-jobs/ws",
        websocket=True,
        message='{"type":"subscribe","requestIds":["%s"]}',
        protocol="hookcast.v1",
        several=_hookcast_subscribe,
    )
    return [sse, websocket]


def as_served(peer: Peer, *options: str) -> Peer:
    """Return this Hookcast as `hookcast serve` with the options, hence without a publish route."""
    start = python_of(peer.tree or ROOT)
    return replace(peer, command=lambda place: [*start, "-m", "hookcast", "serve", "--port", str(place.port), *options])


def uvicorn(app: str) -> Callable[[Place], list[str]]:
    """Return the command of an ASGI app in `peers/` on uvicorn with uvloop and httptools."""
    options = "--loop uvloop --http httptools --ws websockets-sansio --backlog 4096 --no-access-log --log-level warning"
    start = [sys.executable, "-m", "uvicorn", "--app-dir", str(PEERS), f"{app}:app", *options.split()]
    return lambda place: [*start, "--port", str(place.port)]


def centrifuge(place: Place) -> list[str]:
    """Return the command of Centrifugo's library, a program of ours in Go."""
    return [str(TOOLS / "centrifuge"), str(place.port)]


CATALOG = (
    Peer("floor-sse", "floor (C), SSE", floor, "/events/%s", first_state=True, several=_floor_topics("/events/%s")),
    Peer(
        "floor-ws",
        "floor (C), WebSocket",
        floor,
        "/ws/%s",
        websocket=True,
        first_state=True,
        several=_floor_topics("/ws/%s"),
    ),
    *hookcast("hookcast", "Hookcast", ROOT),
    Peer("nchan-sse", "nchan, SSE", nchan, "/events/%s", first_state=True, several=_in_path("/events/%s")),
    Peer("nchan-ws", "nchan, WebSocket", nchan, "/ws/%s", websocket=True, first_state=True, several=_in_path("/ws/%s")),
    Peer(
        "centrifuge-sse",
        "Centrifuge, SSE",
        centrifuge,
        "/events/%s",
        first_state=True,
        authorises=True,
        several=_in_path("/events/%s"),
    ),
    Peer(
        "centrifuge-ws",
        "Centrifuge, WebSocket",
        centrifuge,
        "/ws",
        websocket=True,
        message='{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"%s"}}',
        first_state=True,
        authorises=True,
        several=_centrifuge_subscribe,
    ),
    Peer("sse-starlette", "sse-starlette", uvicorn("sse_starlette_app"), "/events/%s"),
    Peer("starlette-ws", "Starlette WebSocket", uvicorn("starlette_ws_app"), "/ws/%s", websocket=True),
    Peer("fastapi", "FastAPI, SQLAlchemy, sse-starlette", uvicorn("fastapi_app"), "/api/fal-jobs/%s/events"),
)


def titles() -> dict[str, str]:
    """Return the rows' titles by name."""
    return {peer.name: peer.title for peer in CATALOG}


def chosen(names: str | None) -> list[Peer]:
    """Return the peers in a list such as `hookcast,floor-sse`, or all. Raises ValueError for an unknown name."""
    wanted = names.split(",") if names else [peer.name for peer in CATALOG]
    for name in wanted:
        if not any(_is(peer, name) for peer in CATALOG):
            raise ValueError(f"No peer is called {name}; there are {', '.join(peer.name for peer in CATALOG)}.")
    return [peer for peer in CATALOG if any(_is(peer, name) for name in wanted)]


def _is(peer: Peer, name: str) -> bool:
    return peer.name == name or peer.name.startswith(f"{name}-")
