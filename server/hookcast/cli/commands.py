"""The `hookcast` command. Invalid input prints one line and exits with code 2.

Imports that only some commands need are inside them: they dominate start-up time, and the serving commands check the
installed packages first.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from hookcast import __version__, logs
from hookcast.cli import installation
from hookcast.cli.endings import ending
from hookcast.cli.health import health
from hookcast.cli.jobs import app as jobs
from hookcast.cli.media import app as media
from hookcast.cli.options import EMULATOR_PORT, Token, Url, run
from hookcast.errors import InvalidRequest, SettingsError, UsageError
from hookcast.settings import load_client_settings, load_settings
from hookcast.strength import MAX_TOKEN_SECONDS

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="fal.ai webhooks in, live job events out.",
)
Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.", show_default="8000")]
EmulatorPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Port of the emulated fal.", show_default=f"{EMULATOR_PORT}, or a free one"),
]
WorkerCount = Annotated[int, typer.Option(min=1, max=64, help="Processes; more than one needs PostgreSQL and Redis.")]
Speed = Annotated[float, typer.Option(min=0.01, max=1000, help="Speed of the emulated jobs; 10 is ten times as fast.")]
Patience = Annotated[float | None, typer.Option(min=0.1, help="Stop watching after this many seconds.")]


def main() -> None:
    """Run the `hookcast` command."""
    with ending():
        run(app)


def _say_version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version.")
    ] = False,
) -> None: ...


@app.command("serve")
def serve_command(host: Host = None, port: Port = None, workers: WorkerCount = 1) -> None:
    """Run the server. Settings come from HOOKCAST_… in the environment or a .env file."""
    installation.check()
    from hookcast.cli import launch  # noqa: PLC0415

    launch.server(host=host, port=port, workers=workers)


@app.command()
def dev(host: Host = None, port: Port = None, emulator_port: EmulatorPort = None, speed: Speed = 1.0) -> None:
    """Run the server, an emulated fal and the demo page; no key, no Redis, no tunnel needed."""
    installation.check()
    from hookcast.cli import emulated  # noqa: PLC0415

    emulated.dev(host=host, port=port, emulator_port=emulator_port, speed=speed)


@app.command()
def emulator(
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = EMULATOR_PORT,
    speed: Speed = 1.0,
) -> None:
    """Run the emulated fal alone: queue, status stream, signed webhooks, media."""
    installation.check()
    from hookcast.cli import emulated  # noqa: PLC0415

    emulated.emulator(host=host, port=port, speed=speed)


@app.command("token")
def token_command(
    sub: Annotated[str | None, typer.Option(help="The owner whose jobs the token shows.")] = None,
    job: Annotated[list[str] | None, typer.Option(help="A requestId that the token shows; may be repeated.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group that the token shows; may be repeated.")] = None,
    expires_in: Annotated[
        int, typer.Option(min=1, max=MAX_TOKEN_SECONDS, help="Seconds until the token expires.")
    ] = 3600,
) -> None:
    """Print a stream token, signed with HOOKCAST_TOKEN_SECRET (the first secret, if there are several)."""
    from hookcast.auth.tokens import Grant, mint  # noqa: PLC0415

    secrets = load_settings().secrets
    grant = Grant(sub=sub, jobs=frozenset(job or ()), groups=frozenset(group or ()))
    if not secrets:
        raise SettingsError("Set HOOKCAST_TOKEN_SECRET to the server's secret, which signs the tokens.")
    if grant == Grant():
        raise SettingsError("Set what the token shows: --sub, --job or --group.")
    try:
        made = mint(grant, secrets[0], expires_at=datetime.now(UTC) + timedelta(seconds=expires_in))
    except InvalidRequest as error:
        raise UsageError(str(error)) from None
    _say(made)


@app.command("migrate")
def migrate_command(
    *,
    compact: Annotated[
        bool,
        typer.Option("--compact", help="Also rewrite the SQLite file so that it can shrink; stop the server first."),
    ] = False,
) -> None:
    """Migrate the database to the newest schema; `serve` also does this when it starts."""
    from hookcast.store import migrate  # noqa: PLC0415

    settings = load_settings(host="127.0.0.1")
    logs.configure(terminal=True)
    migrate(settings.database_url.get_secret_value(), schema=settings.database_schema, compact=compact)
    _say("The database is up to date.")


@app.command()
def submit(
    endpoint: Annotated[str, typer.Argument(help="The model, such as fal-ai/flux/dev.")],
    *,
    model_input: Annotated[str, typer.Option("--input", help="The model's input: JSON, @file, or @- for stdin.")],
    watch: Annotated[bool, typer.Option("--watch", help="Watch the job until it ends.")] = False,
    owner: Annotated[str | None, typer.Option(help="The owner of the job.")] = None,
    group: Annotated[str | None, typer.Option(help="The group of the job.")] = None,
    metadata: Annotated[str | None, typer.Option(help="Your own data: a JSON object, or @file.")] = None,
    options: Annotated[str | None, typer.Option(help="fal's request headers: a JSON object, or @file.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Repeating a submit with the same key returns the same job.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Submit again if the first outcome is unknown.")] = False,
    timeout: Patience = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Submit a job to a running server. Exit code with --watch: 0 completed, 1 failed or cancelled."""
    from hookcast.cli import remote  # noqa: PLC0415

    wish = remote.Wish(
        endpoint_id=endpoint,
        input=remote.read_object("--input", model_input),
        owner=owner,
        group=group,
        metadata=None if metadata is None else remote.read_object("--metadata", metadata),
        options=None if options is None else remote.read_object("--options", options),
        idempotency_key=idempotency_key,
        retry=retry,
    )
    settings = load_client_settings(url=url, token=token)
    raise typer.Exit(remote.run(remote.submit(settings, wish, watch=watch, patience=timeout)))


@app.command("watch")
def watch_command(
    request_id: Annotated[str, typer.Argument(help="The job's requestId.")],
    timeout: Patience = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Watch a job until it ends; piped, it prints each state as a line of JSON. Exit code: 0 completed, 1 not."""
    from hookcast.cli import remote  # noqa: PLC0415

    settings = load_client_settings(url=url, token=token)
    raise typer.Exit(remote.run(remote.watch(settings, request_id, patience=timeout)))


@app.command()
def doctor() -> None:
    """Check everything a server needs: one line per check, with the fix. Exit code 1 if a check fails."""
    from hookcast.cli.doctor import run  # noqa: PLC0415

    logs.configure(level=logs.CRITICAL, terminal=True)  # the findings report the same problems
    raise typer.Exit(asyncio.run(run()))


@app.command("listen")
def listen_command(
    forward_to: Annotated[str, typer.Option("--forward-to", help="Your route, such as http://127.0.0.1:3000/hook.")],
    *,
    events: Annotated[
        str | None,
        typer.Option(help="Their types, separated by commas.", show_default="HOOKCAST_FORWARD_EVENTS, or the ends"),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(help="Signs them: whsec_….", show_default="HOOKCAST_FORWARD_SECRET, or a new one"),
    ] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Bring the webhooks of a server to your machine, without a tunnel, until Ctrl-C. Needs an API key."""
    from hookcast.cli import listen, remote  # noqa: PLC0415

    given = listen.given(forward_to, events, secret)
    settings = load_client_settings(url=url, token=token)
    raise typer.Exit(remote.run(listen.listen(settings, given)))


app.command()(health)
app.add_typer(jobs, name="jobs")
app.add_typer(media, name="media")


@app.command()
def version() -> None:
    """Print the version."""
    _say(f"hookcast {__version__}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
