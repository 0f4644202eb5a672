"""Commands that call a running server: submit and watch jobs. A live display on a terminal, JSON lines elsewhere."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, nullcontext
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct
from rich.console import Console

from hookcast.cli.terminal import JobDisplay, plain, title
from hookcast.client import AccessRefused, ClientError, Hookcast, Job, NotFound, Notice, Refused, Submitted
from hookcast.errors import HookcastError, UsageError
from hookcast.settings import ClientSettings

CALL_SECONDS = 30.0
FAILED, USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
_OPEN = frozenset(
    {"broken", "silent", "fal_unreachable", "store_unavailable", "idempotency_in_flight", "submit_outcome_unknown"}
)


class Wish(Struct, frozen=True, kw_only=True):
    """A job to submit. `input`, `metadata` and `options` are JSON."""

    endpoint_id: str
    input: Raw
    owner: str | None = None
    group: str | None = None
    metadata: Raw | None = None
    options: Raw | None = None
    idempotency_key: str | None = None
    retry: bool = False


def read_object(option: str, value: str) -> Raw:
    """Read a JSON object from the command line: inline, `@file`, or `@-` for standard input. Raises UsageError."""
    try:
        text = value if not value.startswith("@") else _read(value[1:])
        raw = msgspec.json.decode(text.encode(), type=Raw)
    except OSError as error:
        raise UsageError(f"{option}: {value[1:]} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f'{option} is not JSON ({error}); try {option} \'{{"prompt": "a cat"}}\'.') from None
    if not bytes(raw).lstrip().startswith(b"{"):
        raise UsageError(f'{option} must be a JSON object, such as \'{{"prompt": "a cat"}}\'.')
    return raw


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run `work` to completion or until Ctrl-C, and return the exit code. Raises HookcastError."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader closed the pipe; flushing at exit would raise again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except AccessRefused as error:
        hint = " (--token, or HOOKCAST_TOKEN)" if error.status == 401 else ""
        raise HookcastError(f"{said(error)}{hint}") from None
    except Refused as error:
        if error.code in {"invalid_request", "invalid_path", "idempotency_mismatch"}:
            raise UsageError(said(error)) from None
        raise HookcastError(said(error)) from None
    except ClientError as error:
        raise HookcastError(said(error)) from None


def said(error: ClientError) -> str:
    """Return an error as one line for a terminal: parts of it are fal's words, or a stranger's."""
    return plain(" ".join(str(error).split()))


async def submit(settings: ClientSettings, wish: Wish, *, watch: bool, patience: float | None) -> int:
    """Submit a job, print it, and watch it when `watch` is set."""
    async with open_client(settings) as client:
        taken = await _submitted(client, wish)
        if watch:
            return await _watch(client, taken.request_id, settings.server, patience)
        if sys.stdout.isatty():
            console = _console()
            console.print(title(taken.job, taken.request_id), soft_wrap=True)
            console.print(f"Submitted. To watch it: hookcast watch {taken.request_id}", soft_wrap=True)
        else:
            _print_line(taken.job)
        return 0


async def _submitted(client: Hookcast, wish: Wish) -> Submitted:
    """Submit the job, and raise an error that leaves open whether it was submitted with what to do about it."""
    key = wish.idempotency_key or str(uuid.uuid4())
    names = ("owner", "group", "metadata", "options", "retry")
    facts = {name: getattr(wish, name) for name in names}
    try:
        return await client.submit(wish.endpoint_id, wish.input, idempotency_key=key, **facts)
    except ClientError as error:
        if error.code not in _OPEN:
            raise
        more = " --retry" if error.code == "submit_outcome_unknown" else ""
        raise HookcastError(f"{said(error)} (to repeat this submit: --idempotency-key {key}{more})") from None


async def watch(settings: ClientSettings, request_id: str, *, patience: float | None) -> int:
    """Watch a job, including one that the server does not know yet."""
    async with open_client(settings, patience) as client:
        try:
            await client.get(request_id)  # fails at once when no server answers, where a watch would retry
        except NotFound:
            sys.stderr.write(f"hookcast: no job {request_id} is known at {settings.server} yet; waiting for it\n")
        return await _watch(client, request_id, settings.server, patience)


async def _watch(client: Hookcast, request_id: str, server: str, patience: float | None) -> int:
    last: Job | None = None
    show, notify, display = _output(request_id, server)
    with display:
        states: AsyncIterator[Job] = client.watch(request_id, timeout=patience, notify=notify)
        async with aclosing(states):  # type: ignore[type-var] # it is a generator
            async for last in states:
                show(last)
    return 0 if last is not None and last.status == "completed" else FAILED


def _output(request_id: str, server: str) -> tuple[Callable[[Job], None], Callable[[Notice], None], Any]:
    if sys.stdout.isatty():
        display = JobDisplay(_console(), request_id, server)
        return display.show, display.notify, display
    return _print_line, complain, nullcontext()


def _print_line(job: Job) -> None:
    sys.stdout.buffer.write(job.line.encode() + b"\n")  # JSON is UTF-8, whatever the locale
    sys.stdout.flush()


def complain(notice: Notice) -> None:
    """Print an error of the connection, and when the next attempt is."""
    if notice.trouble is not None and notice.pause > 0:
        sys.stderr.write(f"hookcast: {plain(notice.trouble).rstrip('.')}; trying again in {notice.pause:.1f} s\n")


def open_client(settings: ClientSettings, patience: float | None = None) -> Hookcast:
    """Return a client of the server that the settings name."""
    token = None if settings.token is None else settings.token.get_secret_value()
    return Hookcast(settings.server, token=token, timeout=min(CALL_SECONDS, patience or CALL_SECONDS))


def _console() -> Console:
    return Console(highlight=False)


def _read(name: str) -> str:
    return sys.stdin.read() if name == "-" else Path(name).read_text()
