"""`hookcast jobs`: what an operator does with the jobs of a running server. Tables on a terminal, JSON in a pipe.

Imports of the client and of rich are inside the commands: every command of `hookcast` loads this module.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from hookcast.cli.options import Token, Url
from hookcast.errors import UsageError
from hookcast.jobs import valid_request_id
from hookcast.settings import load_client_settings

if TYPE_CHECKING:
    from hookcast.client import Hookcast, Job

STATUSES = ("pending", "completed", "failed", "cancelled")
Ids = Annotated[list[str], typer.Argument(help="The requestIds of the jobs.", metavar="REQUEST_ID...")]
app = typer.Typer(no_args_is_help=True, help="List jobs, explain one, and ask fal or tell your backend again.")


@app.command("list")
def list_command(
    *,
    owner: Annotated[str | None, typer.Option(help="Only jobs of this owner.")] = None,
    group: Annotated[str | None, typer.Option(help="Only jobs of this group.")] = None,
    status: Annotated[str | None, typer.Option(help=f"Only {', '.join(STATUSES[:3])} or {STATUSES[3]} jobs.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Print at most this many jobs.")] = 50,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the newest jobs; piped, each as a line of JSON."""
    if status is not None and status not in STATUSES:
        raise UsageError(f"--status must be one of {', '.join(STATUSES)}.")
    from hookcast.cli import jobs_output  # noqa: PLC0415

    query = jobs_output.Query(owner=owner, group=group, status=status, limit=limit)
    _run(url, token, lambda client: jobs_output.print_list(client, query))


@app.command()
def show(
    request_id: Annotated[str, typer.Argument(help="The job's requestId.")], url: Url = None, token: Token = None
) -> None:
    """Explain a job: its state, what happened to it in order, and why it did not arrive if it did not."""
    from hookcast.cli import jobs_output  # noqa: PLC0415

    [name] = _named([request_id])
    _run(url, token, lambda client: jobs_output.print_one(client, name))


@app.command()
def refresh(request_ids: Ids, url: Url = None, token: Token = None) -> None:
    """Ask fal about pending jobs now."""
    from hookcast.cli import jobs_output  # noqa: PLC0415

    names = _named(request_ids)
    _run(url, token, lambda client: jobs_output.print_each(names, client.refresh, "asked fal"))


@app.command()
def redeliver(
    request_ids: Annotated[list[str] | None, typer.Argument(help="The requestIds.", metavar="[REQUEST_ID...]")] = None,
    since: Annotated[str | None, typer.Option(help="All jobs that ended since then: 2026-11-29T10:00:00Z.")] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Tell your backend again: of these jobs, or of all that ended since a time."""
    from hookcast.cli import jobs_output  # noqa: PLC0415

    if (since is None) == (not request_ids):
        raise UsageError("Name jobs, or a time: hookcast jobs redeliver --since 2026-11-29T10:00:00Z.")
    if since is not None:
        moment = _moment(since)
        _run(url, token, lambda client: jobs_output.print_redelivery(client, moment))
    else:
        names = _named(request_ids or [])
        _run(url, token, lambda client: jobs_output.print_each(names, client.redeliver, "telling your backend again"))


@app.command()
def cancel(request_ids: Ids, url: Url = None, token: Token = None) -> None:
    """Ask fal to cancel jobs."""
    from hookcast.cli import jobs_output  # noqa: PLC0415

    names = _named(request_ids)
    _run(url, token, lambda client: jobs_output.print_each(names, client.cancel, "asked fal to cancel"))


@app.command()
def retry(request_ids: Ids, url: Url = None, token: Token = None) -> None:
    """Submit the inputs of ended jobs again, as new jobs; the server must keep inputs."""
    from hookcast.cli import jobs_output  # noqa: PLC0415

    async def again(client: "Hookcast", request_id: str) -> "Job":
        return (await client.retry(request_id)).job

    names = _named(request_ids)
    _run(url, token, lambda client: jobs_output.print_each(names, partial(again, client), "submitted again as"))


@app.command()
def delete(request_ids: Ids, url: Url = None, token: Token = None) -> None:
    """Remove ended jobs, their kept files and their journals."""
    from hookcast.cli import jobs_output  # noqa: PLC0415

    names = _named(request_ids)
    _run(url, token, lambda client: jobs_output.print_each(names, client.remove, "removed"))


def _run(url: str | None, token: str | None, work: "Callable[[Hookcast], Awaitable[int]]") -> None:
    from hookcast.cli import remote  # noqa: PLC0415

    settings = load_client_settings(url=url, token=token)

    async def run() -> int:
        async with remote.open_client(settings) as client:
            return await work(client)

    raise typer.Exit(remote.run(run()))


def _moment(text: str) -> datetime:
    wrong = UsageError(f"--since must be a time with its zone, such as 2026-11-29T10:00:00Z, not {text!r}.")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise wrong from None
    if moment.tzinfo is None:
        raise wrong
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # at either end of the calendar
        raise wrong from None


def _named(request_ids: list[str]) -> list[str]:
    for request_id in request_ids:
        if not valid_request_id(request_id):
            raise UsageError(f"{request_id!r} is not a requestId: 1 to 200 printable characters without '..' or '/'.")
    return request_ids
