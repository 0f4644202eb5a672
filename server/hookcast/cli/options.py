"""Options that several commands share."""

from typing import Annotated

import typer

EMULATOR_PORT = 8001

Url = Annotated[str | None, typer.Option(help="The server.", show_default="HOOKCAST_URL, or http://127.0.0.1:8000")]
Token = Annotated[
    str | None, typer.Option(help="An API key or a token; prefer HOOKCAST_TOKEN, which other users cannot see.")
]
