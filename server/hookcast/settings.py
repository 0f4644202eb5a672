"""Settings from the environment with the prefix `HOOKCAST_` and a `.env` file; no other module reads either.

Units are in the names: `_seconds`, `_bytes`. Secrets are `SecretStr`, which hides them in reprs and logs.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import jwt
from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from hookcast.errors import SettingsError

PREFIX = "HOOKCAST_"
SECRET_BYTES = 32


_REDIS_SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster")
_REDIS_SHAPE = (
    "must be redis://, rediss:// (TLS), redis+cluster:// or rediss+cluster://, then user:password@ if it asks, a "
    "host and perhaps a port; in a password write %23 for #, %2F for /, %3F for ?, %40 for @, %25 for %"
)
_REDIS_OPTIONS: dict[str, tuple[str, ...]] = {  # redis-py's names and their allowed values; () = a file path
    **dict.fromkeys(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"), ()),
    "ssl_cert_reqs": ("required", "none"),
    "ssl_check_hostname": ("true", "false"),
}


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is loopback: reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    (parts.hostname or "").encode("idna")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or parts.query or parts.fragment:
        raise ValueError("must be an http:// or https:// address without query and fragment")
    return value.rstrip("/")


def _has_port(url: str) -> bool:
    """Return whether the port, if any, is a valid number. urlsplit's error message would contain the password."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _database_url(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if value == "sqlite":
        return SecretStr("sqlite:///hookcast.db")
    scheme, _, rest = value.partition("://")
    if scheme in {"postgres", "postgresql"} and urlsplit(value).hostname and _has_port(value):
        return SecretStr(f"postgresql://{rest}")
    path = rest.removeprefix("/")
    if scheme != "sqlite" or not path or path == rest or path.startswith((":memory:", "file:")):
        raise ValueError(
            "must be postgresql://user:password@host/database, or sqlite:///path/to/file.db (an absolute path has four "
            "slashes)"
        )
    return secret


def _redis_url(secret: SecretStr) -> SecretStr:
    """Reject a URL that the client cannot use. Errors quote nothing: any part of it may belong to the password."""
    try:
        parts = urlsplit(secret.get_secret_value())
        port, options = parts.port, dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise ValueError(_REDIS_SHAPE) from None
    named = parts.scheme in _REDIS_SCHEMES and parts.hostname and port != 0
    if not named or parts.fragment or not f"0{parts.path.strip('/')}".isdecimal():
        raise ValueError(_REDIS_SHAPE)
    _check_redis_options(parts.scheme, options)
    return secret


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _fal_key(secret: SecretStr) -> SecretStr:
    key = secret.get_secret_value().strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("must be visible ASCII characters; copy it anew from https://fal.ai/dashboard/keys")
    return SecretStr(key)


def _api_keys(secret: SecretStr) -> SecretStr:
    keys = _listed(secret.get_secret_value())
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


def _without_user(value: str) -> str:
    if urlsplit(value).username is not None:
        raise ValueError("must have no user name or password: this address is shown in logs and messages")
    return value


def _origins(value: str) -> str:
    for origin in _listed(value):
        parts = urlsplit(origin)
        plain = parts.scheme in {"http", "https"} and parts.hostname and origin == f"{parts.scheme}://{parts.netloc}"
        if origin != "*" and not plain:
            raise ValueError("must be origins like https://app.example.com, separated by commas, or *")
    return value


def _check_redis_options(scheme: str, options: dict[str, str]) -> None:
    if options.keys() - _REDIS_OPTIONS.keys():
        raise ValueError(f"the words after ? may be {', '.join(_REDIS_OPTIONS)}")
    if options and not scheme.startswith("rediss"):
        raise ValueError(f"{', '.join(options)}: only for TLS, that is rediss:// or rediss+cluster://")
    for name, value in options.items():
        allowed = _REDIS_OPTIONS[name]
        if allowed and value not in allowed:
            raise ValueError(f"{name} must be {' or '.join(allowed)}")
        if not allowed and not Path(value).is_file():
            raise ValueError(f"{name}: there is no such file")


def _networks(value: str) -> str:
    for entry in _listed(value):
        try:
            ipaddress.ip_network(entry)
        except ValueError:
            raise ValueError(
                "must be addresses and networks of your proxies like 10.0.0.7 or 10.0.0.0/8, separated by commas; "
                "with * everybody could claim any address"
            ) from None
    return value


HttpAddress = Annotated[str, AfterValidator(_http_url)]
ShownAddress = Annotated[HttpAddress, AfterValidator(_without_user)]
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
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] = SecretStr("sqlite:///hookcast.db")
    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = None
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
    forwarded_allow_ips: Annotated[str, AfterValidator(_networks)] = "127.0.0.1, ::1"

    api_keys: Annotated[SecretStr, AfterValidator(_api_keys)] | None = None
    token_secret: Annotated[SecretStr, AfterValidator(_token_secret)] | None = None
    token_jwks_url: ShownAddress | None = None
    token_issuer: str = ""
    token_audience: str = ""
    allowed_origins: Annotated[str, AfterValidator(_origins)] = ""

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
        return () if self.api_keys is None else tuple(_listed(self.api_keys.get_secret_value()))

    @property
    def secret(self) -> str | None:
        """The secret that signs tokens; None = not set."""
        return None if self.token_secret is None else self.token_secret.get_secret_value() or None

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins allowed to make requests; `*` = all."""
        return tuple(_listed(self.allowed_origins))

    @property
    def proxies(self) -> list[str]:
        """The addresses and networks of proxies whose X-Forwarded-For is trusted."""
        return _listed(self.forwarded_allow_ips)

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
