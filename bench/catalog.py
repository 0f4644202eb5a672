"""The peers: how each starts, and its paths for subscribing and publishing. Their configurations are in `peers/`."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TOOLS = HERE.parent / ".make" / "bench"
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

    def load_arguments(self) -> list[str]:
        """Return the load generator's arguments for this peer."""
        found = ["--subscribe-path", self.subscribe_path]
        found += ["--websocket"] if self.websocket else []
        found += ["--message", self.message] if self.message else []
        found += ["--protocol", self.protocol] if self.protocol else []
        return found


def floor(place: Place) -> list[str]:
    """Return the command of the C server, the lower bound of the cost."""
    return [str(TOOLS / "floor"), str(place.port)]


def nchan(place: Place) -> list[str]:
    """Return the command of Debian's nginx with its nchan module, one worker."""
    text = (PEERS / "nchan.conf").read_text()
    configuration = place.folder / "nginx.conf"
    configuration.write_text(text.replace("@PORT@", str(place.port)).replace("@FOLDER@", str(place.folder)))
    return ["/usr/sbin/nginx", "-p", str(place.folder), "-c", str(configuration), "-e", str(place.folder / "error.log")]


def hookcast(place: Place) -> list[str]:
    """Return the command of Hookcast with a publish route."""
    return [sys.executable, str(PEERS / "hookcast_server.py"), str(place.port)]


def uvicorn(app: str) -> Callable[[Place], list[str]]:
    """Return the command of an ASGI app in `peers/` on uvicorn with uvloop and httptools."""
    options = "--loop uvloop --http httptools --ws websockets-sansio --backlog 4096 --no-access-log --log-level warning"
    start = [sys.executable, "-m", "uvicorn", "--app-dir", str(PEERS), f"{app}:app", *options.split()]
    return lambda place: [*start, "--port", str(place.port)]


CATALOG = (
    Peer("floor-sse", "floor (C), SSE", floor, "/events/%s"),
    Peer("floor-ws", "floor (C), WebSocket", floor, "/ws/%s", websocket=True),
    Peer("hookcast-sse", "Hookcast, SSE", hookcast, "/api/fal-jobs/%s/events"),
    Peer(
        "hookcast-ws",
        "Hookcast, WebSocket",
        hookcast,
        "/api/fal-jobs/ws",
        websocket=True,
        message='{"type":"subscribe","requestIds":["%s"]}',
        protocol="hookcast.v1",
    ),
    Peer("nchan-sse", "nchan, SSE", nchan, "/events/%s"),
    Peer("nchan-ws", "nchan, WebSocket", nchan, "/ws/%s", websocket=True),
    Peer("sse-starlette", "sse-starlette", uvicorn("sse_starlette_app"), "/events/%s"),
    Peer("starlette-ws", "Starlette WebSocket", uvicorn("starlette_ws_app"), "/ws/%s", websocket=True),
    Peer("fastapi", "FastAPI, SQLAlchemy, sse-starlette", uvicorn("fastapi_app"), "/api/fal-jobs/%s/events"),
)


def chosen(names: str | None) -> list[Peer]:
    """Return the peers in a list such as `hookcast,floor-sse`, or all. Raises ValueError for an unknown name."""
    wanted = names.split(",") if names else [peer.name for peer in CATALOG]
    for name in wanted:
        if not any(_is(peer, name) for peer in CATALOG):
            raise ValueError(f"No peer is called {name}; there are {', '.join(peer.name for peer in CATALOG)}.")
    return [peer for peer in CATALOG if any(_is(peer, name) for name in wanted)]


def _is(peer: Peer, name: str) -> bool:
    return peer.name == name or peer.name.startswith(f"{name}-")
