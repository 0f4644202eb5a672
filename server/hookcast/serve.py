"""Runs ASGI applications with uvicorn: sockets, signals, drain."""

import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn

from hookcast.errors import SettingsError

GRACE_SECONDS = 1  # for requests that are still being answered once the streams have been drained


@dataclass(frozen=True, slots=True)
class Site:
    """One application on one bound socket. `drain` is called before its connections are closed."""

    app: Callable[..., object]
    listener: socket.socket
    drain: Callable[[], None] = lambda: None


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address. Raises SettingsError with what to do when that is not possible."""
    try:
        family = socket.AF_INET6 if _is_v6(host) else socket.AF_INET
        return socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    except OSError as error:
        hint = "another program uses it; choose one with --port" if error.errno == errno.EADDRINUSE else str(error)
        raise SettingsError(f"Cannot listen on {host}:{port}: {hint}.") from None


def run(*sites: Site, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGINT or SIGTERM; a second signal ends at once."""
    with asyncio.Runner(loop_factory=uvicorn.Config(sites[0].app, log_config=None).get_loop_factory()) as runner:
        runner.run(_serve(sites, on_ready))


async def _serve(sites: tuple[Site, ...], on_ready: Callable[[], None]) -> None:
    servers = [Server(site, on_ready if site is sites[-1] else lambda: None) for site in sites]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(server.serve(sockets=[server.site.listener])) for server in servers]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for server in servers:
            server.should_exit = True  # one that could not start takes the others along
    if not all(server.started for server in servers):
        raise SettingsError("The server could not start; the log says why.")


class Server(uvicorn.Server):
    """uvicorn with the signals left to `_serve`, and streams that are told before they are closed."""

    def __init__(self, site: Site, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                site.app,
                http="httptools",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,  # its lines would show query strings
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self.site = site
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the streams to come back later, then close."""
        self.site.drain()
        await super().shutdown(sockets)


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).version == 6
    except ValueError:
        return False
