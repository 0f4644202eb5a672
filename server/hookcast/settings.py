"""Settings from the environment with the prefix `HOOKCAST_` and a `.env` file; no other module reads either.

Units are in the names: `_seconds`, `_bytes`. Secrets are `SecretStr`, which hides them in reprs and logs.
"""

from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import jwt
from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hookcast.errors import SettingsError
from hookcast.urls import DatabaseUrl, HttpAddress, Networks, Origins, RedisUrl, ShownAddress, is_loopback, listed

PREFIX = "HOOKCAST_"
SECRET_BYTES = 32


def _fal_key(secret: SecretStr) -> SecretStr:
    key = secret.get_secret_value().strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("must be visible ASCII characters; copy it anew from https://fal.ai/dashboard/keys")
    return SecretStr(key)


def _api_keys(secret: SecretStr) -> SecretStr:
    keys = listed(secret.get_secret_value())
    if not keys or not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise ValueError("must be one or more keys of visible ASCII characters, separated by commas")
    return secret


def _token_secret(secret: SecretStr) -> SecretStr:
    try:  # reject asymmetric keys: their public half is published
        jwt.get_algorithm_by_name("HS256").prepare_key(secret.get_secret_value() or "unset")
    except (jwt.InvalidKeyError, UnicodeEncodeError):
        raise ValueError(
            "must be random text, such as the output of `openssl rand -hex 32`, no PEM, SSH or JWK key"
        ) from None
    return secret


Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]


class ListenSettings(BaseSettings):
    """The listening address: all that the health check loads, so that no other setting can break it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)


class Settings(ListenSettings):
    """Every server setting, with its default."""

    public_url: HttpAddress | None = None
    database_url: DatabaseUrl = SecretStr("sqlite:///hookcast.db")
    redis_url: RedisUrl | None = None
    fal_key: Annotated[SecretStr, AfterValidator(_fal_key)] | None = Field(
        default=None, validation_alias=AliasChoices("HOOKCAST_FAL_KEY", "FAL_KEY", "fal_key")
    )
    fal_queue_url: HttpAddress = "https://queue.fal.run"
    fal_jwks_url: ShownAddress = "https://rest.fal.ai/.well-known/jwks.json"
    fal_user_id: str = ""
    heartbeat_seconds: Seconds = 15.0
    stream_lifetime_seconds: Seconds = 3600.0
    drain_seconds: Seconds = 10.0
    resync_seconds: Seconds = 1.0
    job_timeout_seconds: Seconds = 3600.0
    job_retention_days: float = Field(default=30.0, gt=0, le=36_500, allow_inf_nan=False)
    max_webhook_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    max_streams: int | None = Field(default=None, ge=1)
    max_streams_per_address: int = Field(default=1000, ge=1)
    max_streams_per_token: int = Field(default=1000, ge=1)
    submits_per_minute: int | None = Field(default=None, ge=1)
    keep_alive_seconds: Seconds = 5.0
    metrics_folder: Path | None = Field(  # set by the parent process of `--workers`
        default=None, validation_alias=AliasChoices("PROMETHEUS_MULTIPROC_DIR", "metrics_folder")
    )
    forwarded_allow_ips: Networks = "127.0.0.1, ::1"

    api_keys: Annotated[SecretStr, AfterValidator(_api_keys)] | None = None
    token_secret: Annotated[SecretStr, AfterValidator(_token_secret)] | None = None
    token_jwks_url: ShownAddress | None = None
    token_issuer: str = ""
    token_audience: str = ""
    allowed_origins: Origins = ""

    @model_validator(mode="after")
    def _know_the_provider(self) -> "Settings":
        names = ("token_jwks_url", "token_issuer", "token_audience")
        missing = [PREFIX + name.upper() for name in names if not getattr(self, name)]
        if missing and len(missing) < len(names):
            raise ValueError(f"{', '.join(missing)}: needed, too, so that only your provider's tokens for you count")
        return self

    @model_validator(mode="after")
    def _stay_on_loopback(self) -> "Settings":
        if self.open and not is_loopback(self.host):
            raise ValueError(
                f"{PREFIX}HOST={self.host}: without keys every caller sees every job, so the server binds to "
                f"loopback only; set {PREFIX}API_KEYS for your backend and {PREFIX}TOKEN_SECRET for browsers "
                "(each the output of `openssl rand -hex 32`), or use 127.0.0.1"
            )
        return self

    @property
    def open(self) -> bool:
        """True when every caller may do everything: no API key, no token secret, no identity provider."""
        return not (self.keys or self.secret or self.token_jwks_url)

    @property
    def keys(self) -> tuple[str, ...]:
        """The API keys."""
        return () if self.api_keys is None else tuple(listed(self.api_keys.get_secret_value()))

    @property
    def secret(self) -> str | None:
        """The secret that signs tokens; None = not set."""
        return None if self.token_secret is None else self.token_secret.get_secret_value() or None

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins allowed to make requests; `*` = all."""
        return tuple(listed(self.allowed_origins))

    @property
    def proxies(self) -> list[str]:
        """The addresses and networks of proxies whose X-Forwarded-For is trusted."""
        return listed(self.forwarded_allow_ips)

    @property
    def bus_url(self) -> str | None:
        """Redis's URL, password included; None = the in-process bus."""
        return None if self.redis_url is None else self.redis_url.get_secret_value()

    @property
    def webhook_url(self) -> str | None:
        """The URL for fal's webhooks; None when fal cannot reach this server."""
        if self.public_url:
            return f"{self.public_url}/api/webhooks/fal"
        if is_loopback(urlsplit(self.fal_queue_url).hostname or ""):
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"http://{host}:{self.port}/api/webhooks/fal"
        return None

    def check_shareable(self) -> None:
        """Raise SettingsError unless several processes can share the database and the bus."""
        missing = []
        if self.database_url.get_secret_value().startswith("sqlite"):
            missing.append(f"{PREFIX}DATABASE_URL=postgresql://…")
        if self.redis_url is None:
            missing.append(f"{PREFIX}REDIS_URL=redis://…")
        if missing:
            raise SettingsError(f"More than one worker needs {' and '.join(missing)}.")

    def warnings(self) -> list[str]:
        """Return one sentence for each setting that is valid but likely to surprise."""
        found = []
        if self.fal_key is None:
            found.append("No FAL_KEY is set: webhooks are taken, but jobs cannot be submitted or followed.")
        if self.webhook_url is None:
            found.append(
                f"No {PREFIX}PUBLIC_URL is set: fal cannot send webhooks here, so it has to be asked whether a job has "
                "ended: up to a minute late when nobody watches it. Set it to this server's public https address."
            )
        return found + self._access_warnings()

    def _access_warnings(self) -> list[str]:
        if self.open:
            exposed = self.public_url is not None and not is_loopback(urlsplit(self.public_url).hostname or "")
            warning = (
                f"Neither {PREFIX}API_KEYS nor {PREFIX}TOKEN_SECRET is set: whoever reaches {PREFIX}PUBLIC_URL sees "
                "every job, and submits jobs on your fal account."
            )
            return [warning] if exposed else []
        found = []
        if not self.keys:
            found.append(f"No {PREFIX}API_KEYS is set: nobody may submit, register or cancel jobs.")
        if self.secret is None and self.token_jwks_url is None:
            found.append(f"No {PREFIX}TOKEN_SECRET is set: browsers cannot watch, since API keys are for your backend.")
        if self.secret is not None and len(self.secret.encode()) < SECRET_BYTES:
            found.append(f"{PREFIX}TOKEN_SECRET is shorter than {SECRET_BYTES} bytes (RFC 7518 section 3.2).")
        if not self.fal_user_id:
            found.append(
                f"No {PREFIX}FAL_USER_ID is set: webhooks of every fal user are taken; set it to your own fal user id."
            )
        return found


class ClientSettings(ListenSettings):
    """Settings of the commands that call a running server: by default the one on this machine."""

    url: ShownAddress | None = None
    token: SecretStr | None = None

    @property
    def server(self) -> str:
        """The server's URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.url or f"http://{host}:{self.port}"


_Shape = TypeVar("_Shape", bound=BaseSettings)


def load_settings(**overrides: Any) -> Settings:
    """Load settings from the environment; `overrides` (from the command line) win, None means not given.

    Raises SettingsError with one message that lists every invalid setting.
    """
    return _load(Settings, overrides)


def load_client_settings(**overrides: Any) -> ClientSettings:
    """Load the settings of the commands that call a running server, like `load_settings`."""
    return _load(ClientSettings, overrides)


def load_listen_settings(**overrides: Any) -> ListenSettings:
    """Load the settings of the health check, like `load_settings`."""
    return _load(ListenSettings, overrides)


def _load(shape: type[_Shape], overrides: dict[str, Any]) -> _Shape:
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return shape(**given)
    except UnicodeDecodeError as error:
        raise SettingsError(f"Wrong settings: .env is no UTF-8 text: {error}.") from None
    except ValidationError as error:
        lines = [_describe(list(entry["loc"]), entry["msg"]) for entry in error.errors()]
        raise SettingsError("Wrong settings: " + "; ".join(lines)) from None


def _describe(location: list[int | str], message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    name = str(location[0])
    return f"{name if name.isupper() else PREFIX + name.upper()}: {text}"
