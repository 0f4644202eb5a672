"""`hookcast health`: liveness check of the server on this machine, for containers and supervisors.

It runs every few seconds, so `__main__` imports it directly and it loads nothing of the server.
"""

import ipaddress
import signal
import sys
from http.client import HTTPConnection, HTTPException
from typing import Annotated, NoReturn

import typer

from hookcast.cli.options import run
from hookcast.errors import HookcastError, SettingsError, UsageError
from hookcast.settings import load_listen_settings

SECONDS = 3.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Host = Annotated[str | None, typer.Option(help="Address that the server listens on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port that it listens on.", show_default="8000")]


def main() -> None:
    """Run `hookcast health`."""
    try:
        run(app, sys.argv[2:], "hookcast health")
    except HookcastError as error:
        sys.stderr.write(f"hookcast: {error}\n")
        sys.exit(2 if isinstance(error, SettingsError | UsageError) else 1)


@app.command()
def health(host: Host = None, port: Port = None) -> None:
    """Ask the server on this machine whether it is alive. Exit code 1 when it is not."""
    settings = load_listen_settings(host=host, port=port)
    ask(_reachable(settings.host), settings.port)


def ask(host: str, port: int) -> None:
    """Send GET /healthz, bypassing proxies. Raises HookcastError unless the answer is 200 within SECONDS."""
    signal.signal(signal.SIGALRM, _expire)  # bounds the whole exchange; a socket timeout restarts with each byte
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        connection = HTTPConnection(host, port)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except TimeoutError:
        raise HookcastError(f"Port {port} of {host} did not answer within {SECONDS:g} seconds.") from None
    except HTTPException:
        raise HookcastError(f"Port {port} of {host} did not answer in HTTP.") from None
    except OSError as error:
        raise HookcastError(f"Port {port} of {host} cannot be reached: {error.strerror or error}.") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if status != 200:
        raise HookcastError(f"Port {port} of {host} answered {status} for /healthz.")


def _reachable(host: str) -> str:
    """Return an address to connect to: loopback for an unspecified one, which not every system lets you connect to."""
    host = host.strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    loopback = {4: "127.0.0.1", 6: "::1"}[address.version]
    return loopback if address.is_unspecified else host


def _expire(*_: object) -> NoReturn:
    raise TimeoutError
