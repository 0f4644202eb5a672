"""Options that several commands share, and how their arguments are read."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from hookcast.errors import UsageError

EMULATOR_PORT = 8001
_Misuse: Any = typer.BadParameter.__bases__[0]  # all wrong arguments; Typer has no public name for it
Url = Annotated[str | None, typer.Option(help="The server.", show_default="HOOKCAST_URL, or http://127.0.0.1:8000")]
Token = Annotated[
    str | None, typer.Option(help="An API key or a token; prefer HOOKCAST_TOKEN, which other users cannot see.")
]


def run(app: typer.Typer, arguments: Sequence[str] | None = None, name: str = "hookcast") -> NoReturn:
    """Run the command that the arguments (those of the process by default) name, and exit with its code.

    Raises UsageError for wrong arguments: one line, where Typer would draw a box.
    """
    try:
        code = app(arguments, prog_name=name, standalone_mode=False)
    except typer.Abort:
        code = 130  # Ctrl-C
    except _Misuse as error:
        told = " ".join(error.format_message().split())
        if told:
            end = "" if told.endswith((".", "?")) else "."
            command = error.ctx.command_path if error.ctx else "hookcast"
            raise UsageError(f"{told}{end} See {command} --help.") from None
        code = 2  # without arguments the help has been printed
    sys.exit(code)
