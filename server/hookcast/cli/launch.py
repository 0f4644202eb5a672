"""The commands that serve: bind the sockets, run the applications and print where they listen."""

import os
import socket
import sys

from rich.console import Console

from hookcast import __version__, advice, logs
from hookcast.app import create_app, make_admission
from hookcast.emulator import begin_shutdown, create_emulator
from hookcast.errors import HookcastError, SettingsError, StoreRefused, StoreUnavailable
from hookcast.openfiles import raise_open_files, shared_out
from hookcast.serving import Deadlines
from hookcast.serving import server as serve
from hookcast.serving.server import Site
from hookcast.serving.workers import Workers
from hookcast.settings import Settings, given_names, load_settings
from hookcast.store import migrate
from hookcast.urls import is_loopback

CHECK_SECONDS = 5.0  # for the database to answer before the workers start
DEV_DATABASE = "sqlite:///hookcast-dev.db"


def server(*, host: str | None, port: int | None, workers: int, fd: int | None) -> None:
    """Run one node, the parent of `workers` processes, or the worker that inherits the listening socket `fd`."""
    logs.configure()
    settings = load_settings(host=host, port=port)
    if fd is not None:
        worker = _site(settings, serve.adopt(fd))
        return serve.run(worker, on_ready=lambda: _say(f"Worker {os.getpid()} serves."), lifeline=sys.stdin.fileno())
    if workers > 1:
        settings.check_shareable()
        _check_database(settings)
    listener = serve.bind(settings.host, settings.port)
    for warning in advice.warnings(settings):
        logs.get_logger(__name__).warning("settings", hint=warning)
    hello = f"Hookcast {__version__} listens on http://{_authority(settings)}"
    if workers > 1:
        _say(f"{hello} with {workers} workers")
        return Workers(listener, workers).run()
    return serve.run(_site(settings, listener), on_ready=lambda: _say(hello))


def dev(*, host: str | None, port: int | None, emulator_port: int, speed: float) -> None:
    """Run a node and the emulated fal, configured for each other."""
    logs.configure(level=logs.WARNING)
    plain = load_settings(host=host, port=port, public_url="http://127.0.0.1")
    for warning in advice.unknown_names(given_names()):
        logs.get_logger(__name__).warning("settings", hint=warning)
    fal = f"http://127.0.0.1:{emulator_port}"
    keep_database = "database_url" in plain.model_fields_set
    settings = load_settings(
        host=plain.host,
        port=plain.port,
        public_url=f"http://{_authority(plain)}",
        database_url=plain.database_url.get_secret_value() if keep_database else DEV_DATABASE,
        fal_key="emulator",
        fal_queue_url=fal,
        fal_jwks_url=f"{fal}/.well-known/jwks.json",
        fal_user_id="",
    )
    emulated = _emulator_site("127.0.0.1", emulator_port, speed)
    site = _site(settings, serve.bind(settings.host, settings.port))
    serve.run(emulated, site, on_ready=lambda: _welcome(settings, fal))


def emulator(*, host: str, port: int, speed: float) -> None:
    """Run the emulated fal alone. Raises SettingsError for an address that is not loopback."""
    logs.configure()
    if not is_loopback(host):
        raise SettingsError(
            f"The emulator accepts any key and signs anything, so it listens on loopback only, not on {host}."
        )
    site = _emulator_site(host, port, speed)
    serve.run(site, on_ready=lambda: _say(f"The emulated fal listens on http://{host}:{port}"))


def _check_database(settings: Settings) -> None:
    """Migrate once for all workers. Raises StoreRefused; they wait themselves for a database that is away."""
    try:
        migrate(settings.database_url.get_secret_value(), CHECK_SECONDS, schema=settings.database_schema)
    except StoreRefused:
        raise
    except StoreUnavailable as error:
        logs.get_logger(__name__).warning("waiting_for_database", reason=error.reason)


def _site(settings: Settings, listener: socket.socket) -> Site:
    open_files = raise_open_files()
    connections, streams = shared_out(open_files)
    admission = make_admission(settings, max_streams=streams)
    logs.get_logger(__name__).info("limits", open_files=open_files, max_streams=admission.limits.max_streams)
    refusals: list[HookcastError] = []
    return Site(
        create_app(settings, admission=admission, on_refusal=refusals.append),
        listener,
        admission.drain,
        Deadlines(keep_alive=settings.keep_alive_seconds),
        settings.proxies,
        max_connections=connections,
        refusals=refusals,
    )


def _emulator_site(host: str, port: int, speed: float) -> Site:
    emulated = create_emulator(speed=speed)
    return Site(emulated, serve.bind(host, port), lambda: begin_shutdown(emulated))


def _authority(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _welcome(settings: Settings, fal: str) -> None:
    console = Console(highlight=False)
    page = f"http://{_authority(settings)}/"
    console.print(
        f"\n  [bold]Hookcast {__version__}[/bold], with an emulated fal: no key needed, nothing is charged.\n"
    )
    console.print(f"  Demo page   [bold cyan]{page}[/bold cyan]")
    console.print(f"  Jobs        {page}api/fal-jobs")
    console.print(f"  Emulator    {fal}")
    console.print("\n  Press Ctrl-C to stop both.\n")
    sys.stdout.flush()
