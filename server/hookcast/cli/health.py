"""`hookcast health`: is the server on this machine alive? For the health checks of containers and supervisors.

Such a check runs every few seconds, so it loads nothing of the server: `__main__` comes straight here.
"""

import ipaddress
import signal
import sys
from http.client import HTTPConnection, HTTPException
from typing import Annotated, NoReturn

import typer

from hookcast.errors import HookcastError, SettingsError
from hookcast.settings import load_listen_settings

SECONDS = 3.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Host = Annotated[str | None, typer.Option(help="Address that the server listens on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port that it listens on.", show_default="8000")]


def main() -> None:
    """Entry point of `hookcast health`."""
    try:
        app(sys.argv[2:], prog_name="hookcast health")
    except HookcastError as error:
        sys.stderr.write(f"hookcast: {error}\n")
        sys.exit(2 if isinstance(error, SettingsError) else 1)


@app.command()
def health(host: Host = None, port: Port = None) -> None:
    """Ask the server on this machine whether it is alive. Exit code 1 when it is not."""
    settings = load_listen_settings(host=host, port=port)
    ask(_reachable(settings.host), settings.port)


def ask(host: str, port: int) -> None:
    """GET /healthz, past any proxy. Raises HookcastError when the answer is not 200 within SECONDS."""
    signal.signal(signal.SIGALRM, _expire)  # a deadline for the whole; a socket's own one begins anew with each byte
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
    """An address to ask at: one that means all addresses of this machine cannot be connected to everywhere."""
    host = host.strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    loopback = {4: "127.0.0.1", 6: "::1"}[address.version]
    return loopback if address.is_unspecified else host


def _expire(*_: object) -> NoReturn:
    raise TimeoutError
