"""The commands with an emulated fal: `hookcast dev` and `hookcast emulator`."""

import socket
import sys

from hookcast import __version__, advice, logs
from hookcast.app import make_admission
from hookcast.cli import node
from hookcast.cli.options import EMULATOR_PORT
from hookcast.emulator import begin_shutdown, create_emulator
from hookcast.errors import SettingsError
from hookcast.openfiles import raise_open_files, shared_out
from hookcast.serving import Deadlines
from hookcast.serving import server as serve
from hookcast.serving.server import Site
from hookcast.settings import Settings, given_names, load_log_settings, load_settings
from hookcast.urls import is_loopback

DEV_DATABASE = "sqlite:///hookcast-dev.db"
LOOPBACK = "127.0.0.1"
KEEP_ALIVE_SECONDS = 60.0  # longer than clients keep a connection: a submit must not meet its end

_log = logs.get_logger(__name__)


def dev(*, host: str | None, port: int | None, emulator_port: int | None, speed: float) -> None:
    """Run a node and the emulated fal, configured for each other.

    Raises SettingsError if `emulator_port` is taken; without one the emulator has a port that is free.
    """
    plain = load_settings(host=host, port=port, public_url=f"http://{LOOPBACK}")
    listener = serve.bind(plain.host, plain.port)
    emulated = _emulated_fal(emulator_port)
    fal = f"http://{LOOPBACK}:{emulated.getsockname()[1]}"
    keep_database = "database_url" in plain.model_fields_set
    settings = load_settings(
        host=plain.host,
        port=plain.port,
        public_url=f"http://{node.authority(plain)}",
        database_url=plain.database_url.get_secret_value() if keep_database else DEV_DATABASE,
        fal_key="emulator",
        fal_queue_url=fal,
        fal_jwks_url=f"{fal}/.well-known/jwks.json",
        fal_user_id="",
        keep_inputs=plain.keep_inputs or "keep_inputs" not in plain.model_fields_set,
        log_level=plain.log_level if "log_level" in plain.model_fields_set else "warning",
    )
    connections, streams = shared_out(raise_open_files())
    admission = make_admission(settings, max_streams=streams)
    site = node.site(settings, listener, admission, max_connections=connections)
    node.begin_log(settings)
    for warning in advice.unknown_names(given_names()):
        _log.warning("settings", hint=warning)
    serve.run(_emulator_site(emulated, speed), site, on_ready=lambda: _welcome(settings, fal))


def _emulated_fal(port: int | None) -> socket.socket:
    """Listen for the emulator: on `port`, else on its usual port or, if another program has that, on any free one."""
    if port is not None:
        return serve.bind(LOOPBACK, port, option="--emulator-port")
    try:
        return serve.bind(LOOPBACK, EMULATOR_PORT)
    except SettingsError:
        return serve.bind(LOOPBACK, 0)


def emulator(*, host: str, port: int, speed: float) -> None:
    """Run the emulated fal alone.

    Raises SettingsError for an address that is not loopback, and for CAs of the environment that fail.
    """
    settings = load_log_settings()
    if not is_loopback(host):
        raise SettingsError(
            f"The emulator accepts any key and signs anything, so it listens on loopback only, not on {host}."
        )
    site = _emulator_site(serve.bind(host, port), speed)
    node.begin_log(settings)
    serve.run(site, on_ready=lambda: node.say(f"The emulated fal listens on http://{host}:{port}"))


def _emulator_site(listener: socket.socket, speed: float) -> Site:
    emulated = create_emulator(speed=speed)
    return Site(emulated, listener, lambda: begin_shutdown(emulated), Deadlines(keep_alive=KEEP_ALIVE_SECONDS))


def _welcome(settings: Settings, fal: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - not for the emulator alone

    console = Console(highlight=False)
    page = f"http://{node.authority(settings)}/"
    console.print(
        f"\n  [bold]Hookcast {__version__}[/bold], with an emulated fal: no key needed, nothing is charged.\n"
    )
    console.print(f"  Demo page   [bold cyan]{page}[/bold cyan]")
    console.print(f"  Jobs        {page}api/fal-jobs")
    console.print(f"  Emulator    {fal}")
    console.print("\n  Press Ctrl-C to stop both.\n")
    sys.stdout.flush()
