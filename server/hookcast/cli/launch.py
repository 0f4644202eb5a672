"""`hookcast serve`: bind the socket, and run the node or the parent of several."""

import socket
from typing import NoReturn

from hookcast import __version__, logs, supervisor
from hookcast.cli import node
from hookcast.errors import StoreRefused, StoreUnavailable
from hookcast.serving import server as serve
from hookcast.settings import Settings, load_settings
from hookcast.store import migrate

CHECK_SECONDS = 5.0  # for the database to answer before the workers start

_log = logs.get_logger(__name__)


def server(*, host: str | None, port: int | None, workers: int) -> None:
    """Run one node, or the parent of `workers` processes.

    Wrong settings are told in a plain line, before the log begins.
    """
    settings = load_settings(host=host, port=port)
    if workers > 1:
        settings.check_shareable()
    listener = serve.bind(settings.host, settings.port)
    hello = f"Hookcast {__version__} listens on http://{node.authority(settings)}"
    if workers > 1:
        _supervise(settings, listener, hello, workers)
    node.run(settings, listener, hello)


def _supervise(settings: Settings, listener: socket.socket, hello: str, workers: int) -> NoReturn:
    node.begin_log(settings)
    node.warn(settings)
    _check_database(settings)
    supervisor.hold_signals()
    node.say(f"{hello} with {workers} workers")
    logs.close()
    supervisor.become(listener.fileno(), workers, settings.log_level)


def _check_database(settings: Settings) -> None:
    """Migrate once for all workers. Raises StoreRefused; they wait themselves for a database that is away."""
    try:
        migrate(settings.database_url.get_secret_value(), CHECK_SECONDS, schema=settings.database_schema)
    except StoreRefused:
        raise
    except StoreUnavailable as error:
        _log.warning("waiting_for_database", reason=error.reason)
