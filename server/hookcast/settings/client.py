"""The settings of the commands that call a running server."""

from pydantic import SecretStr

from hookcast.eventtypes import BY_DEFAULT, EventNames
from hookcast.keys import ForwardSecret
from hookcast.settings.listening import ListenSettings
from hookcast.urls import ShownAddress


class ClientSettings(ListenSettings):
    """Settings of the commands that call a running server: by default the one on this machine."""

    url: ShownAddress | None = None
    token: SecretStr | None = None

    @property
    def server(self) -> str:
        """The server's URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.url or f"http://{host}:{self.port}"


class ForwardSettings(ListenSettings):
    """What `hookcast listen` shares with the server: which webhooks there are, and how they are signed."""

    forward_secret: ForwardSecret | None = None
    forward_events: EventNames = BY_DEFAULT
