"""Loads settings from the environment and `.env`."""

import os
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from hookcast.errors import SettingsError
from hookcast.settings.client import ClientSettings, ForwardSettings
from hookcast.settings.listening import PREFIX, ListenSettings, LogSettings
from hookcast.settings.server import Settings

_CLOUDS = ("AWS_", "AZURE_", "GOOGLE_")
_LINE = re.compile(r"\s*(?:export\s+)?(HOOKCAST\w*|FAL_KEY)\b", re.IGNORECASE)
_Shape = TypeVar("_Shape", bound=BaseSettings)


def load_settings(**overrides: Any) -> Settings:
    """Load settings from the environment; `overrides` (from the command line) win, None means not given.

    Raises SettingsError with one message that lists every invalid setting.
    """
    return _load(Settings, overrides)


def given_names() -> set[str]:
    """Return the names of all variables in the environment and `.env`, in upper case."""
    sources = (EnvSettingsSource(Settings), DotEnvSettingsSource(Settings))
    return {name.upper() for source in sources for name in source.env_vars}


def export_cloud_variables() -> None:
    """Put the variables of clouds that stand in `.env` into the environment, where the clouds' library reads them."""
    for name, value in DotEnvSettingsSource(Settings).env_vars.items():
        if value and name.upper().startswith(_CLOUDS):
            os.environ.setdefault(name.upper(), value)


def load_client_settings(**overrides: Any) -> ClientSettings:
    """Load the settings of the commands that call a running server, like `load_settings`."""
    return _load(ClientSettings, overrides)


def load_forward_settings() -> ForwardSettings:
    """Load what `hookcast listen` shares with the server, like `load_settings`."""
    return _load(ForwardSettings, {})


def load_listen_settings(**overrides: Any) -> ListenSettings:
    """Load the settings of the health check, like `load_settings`."""
    return _load(ListenSettings, overrides)


def load_log_settings() -> LogSettings:
    """Load the settings of the emulator's log, like `load_settings`."""
    return _load(LogSettings, {})


def _load(shape: type[_Shape], overrides: dict[str, Any]) -> _Shape:
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        wrong = _unread_lines() if shape is Settings else []
        settings = shape(**given)
    except UnicodeDecodeError as error:
        raise SettingsError(f"Wrong settings: .env is not UTF-8 text: {error}.") from None
    except ValidationError as error:
        wrong += [_describe(list(entry["loc"]), entry["msg"]) for entry in error.errors()]
        raise SettingsError("Wrong settings: " + "; ".join(wrong)) from None
    if wrong:
        raise SettingsError("Wrong settings: " + "; ".join(wrong))
    return settings


def _unread_lines() -> list[str]:
    """Return one sentence for each line of `.env` that names a setting and cannot be read: the parser skips it."""
    file = Path(".env")
    if not file.is_file():
        return []
    read = DotEnvSettingsSource(Settings, env_ignore_empty=False).env_vars
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
        named = _LINE.match(line)
        if named is not None and read.get(named[1].lower()) is None:
            found.append(f"line {number} of .env: must be {named[1]}=value, a quote closed where it is opened")
    return found


def _describe(location: list[int | str], message: str) -> str:
    text = " ".join(message.removeprefix("Value error, ").split())  # one line, whatever the value that it shows
    if not location:
        return text
    name = str(location[0])
    return f"{name if name.isupper() else PREFIX + name.upper()}: {text}"
