"""Settings from the environment with the prefix `HOOKCAST_` and a `.env` file; no other module reads either.

Units are in the names: `_seconds`, `_bytes`. Secrets are `SecretStr`, which hides them in reprs and logs.
"""

from hookcast.settings.client import ClientSettings, ForwardSettings
from hookcast.settings.listening import PREFIX, ListenSettings, LogSettings
from hookcast.settings.loading import (
    export_cloud_variables,
    given_names,
    load_client_settings,
    load_forward_settings,
    load_listen_settings,
    load_log_settings,
    load_settings,
)
from hookcast.settings.server import Settings

__all__ = [
    "PREFIX",
    "ClientSettings",
    "ForwardSettings",
    "ListenSettings",
    "LogSettings",
    "Settings",
    "export_cloud_variables",
    "given_names",
    "load_client_settings",
    "load_forward_settings",
    "load_listen_settings",
    "load_log_settings",
    "load_settings",
]
