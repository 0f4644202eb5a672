"""`hookcast media`: the storage of kept files. Imports that need the server's modules are inside the commands."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

from hookcast import logs
from hookcast.errors import SettingsError
from hookcast.settings import PREFIX, Settings, export_cloud_variables, load_settings

INTERRUPTED = 130
app = typer.Typer(no_args_is_help=True, help="Check the storage of kept files, and keep those of older jobs.")


@app.command()
def check(
    *,
    remove_orphans: Annotated[
        bool, typer.Option("--remove-orphans", help="Remove files that no job of this database names.")
    ] = False,
) -> None:
    """Compare the database and the storage. Exit code 1 if files are missing, or files without a job stay."""
    from hookcast.cli import media_check  # noqa: PLC0415

    _run(media_check.run(_settings(), remove=remove_orphans))


@app.command()
def copy() -> None:
    """Keep the files of jobs that were completed without; the running servers copy them."""
    from hookcast.cli import media_copy  # noqa: PLC0415

    _run(media_copy.run(_settings()))


def _settings() -> Settings:
    settings = load_settings(host="127.0.0.1")
    if settings.media_url is None:
        raise SettingsError(f"Set {PREFIX}MEDIA_URL to the server's storage of kept files.")
    export_cloud_variables()
    logs.configure(level=logs.CRITICAL, terminal=True)  # the output reports the same problems
    return settings


def _run(work: Coroutine[Any, Any, int]) -> None:
    try:
        code = asyncio.run(work)
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)
