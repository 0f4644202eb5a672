"""Run one node, alone or as a worker: without Typer, Rich and the emulator."""

import socket
import sys

from hookcast import __version__, advice, logs
from hookcast.app import create_app, make_admission
from hookcast.errors import HookcastError
from hookcast.openfiles import raise_open_files, shared_out
from hookcast.outgoing import check_environment
from hookcast.push import Admission
from hookcast.serving import Deadlines
from hookcast.serving import server as serve
from hookcast.serving.server import Site
from hookcast.settings import LogSettings, Settings

_log = logs.get_logger(__name__)


def run(settings: Settings, listener: socket.socket, hello: str, *, worker: bool = False) -> None:
    """Serve until a signal; print `hello` once it can. A worker's log has begun, and its input is its lifeline."""
    open_files = raise_open_files()
    connections, streams = shared_out(open_files)
    admission = make_admission(settings, max_streams=streams)
    served = site(settings, listener, admission, max_connections=connections)
    if not worker:
        begin_log(settings)
        warn(settings)
    _log.info("limits", open_files=open_files, max_streams=admission.limits.max_streams)

    def on_ready() -> None:
        _log.info("started", version=__version__, url=f"http://{authority(settings)}")
        say(hello)

    serve.run(served, on_ready=on_ready, lifeline=sys.stdin.fileno() if worker else None)


def site(settings: Settings, listener: socket.socket, admission: Admission, *, max_connections: int) -> Site:
    """Return the node on its socket.

    Raises SettingsError for a storage that does not exist, and for proxies and CAs of the environment that fail.
    """
    check_environment()
    refusals: list[HookcastError] = []
    return Site(
        create_app(settings, admission=admission, on_refusal=refusals.append),
        listener,
        admission.drain,
        Deadlines(keep_alive=settings.keep_alive_seconds),
        settings.proxies,
        max_connections=max_connections,
        access_log=settings.access_log,
        refusals=refusals,
    )


def begin_log(settings: LogSettings, *, pid: bool = False) -> None:
    """Begin the log; with `pid` each line names the process."""
    logs.configure(level=logs.LEVELS[settings.log_level], pid=pid)


def warn(settings: Settings) -> None:
    """Log what is unwise about the settings."""
    for warning in advice.warnings(settings):
        _log.warning("settings", hint=warning)


def authority(settings: Settings) -> str:
    """Return the address to listen on as it stands in a URL."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
