"""The settings of the server."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, model_validator

from hookcast.errors import SettingsError
from hookcast.eventtypes import BY_DEFAULT, EventNames, EventType, event_types
from hookcast.keys import ApiKeys, FalKey, ForwardSecret, TokenSecret, signing_keys
from hookcast.postgres_url import SCHEMA
from hookcast.settings.listening import PREFIX, ListenSettings, LogSettings, Seconds
from hookcast.strength import KEY_BYTES, SECRET_BYTES, weakness
from hookcast.trust import USER_CLAIM, Trust, parse_trusts
from hookcast.urls import (
    DatabaseUrl,
    ForwardUrl,
    HttpAddress,
    KeyAddresses,
    MediaUrl,
    Networks,
    Origins,
    PublicUrl,
    RedisUrl,
    SchemaName,
    ShownAddress,
    is_loopback,
    listed,
)


class Settings(ListenSettings, LogSettings):
    """Every server setting, with its default."""

    public_url: PublicUrl | None = None
    database_url: DatabaseUrl = SecretStr("sqlite:///hookcast.db")
    database_schema: SchemaName = SCHEMA
    redis_url: RedisUrl | None = None
    fal_key: FalKey | None = Field(
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
    keep_inputs: bool = False
    keep_alive_seconds: Seconds = 5.0
    metrics_folder: Path | None = Field(  # set by the parent process of `--workers`
        default=None, validation_alias=AliasChoices("PROMETHEUS_MULTIPROC_DIR", "metrics_folder")
    )
    forwarded_allow_ips: Networks = "127.0.0.1, ::1"
    access_log: bool = False

    media_url: MediaUrl | None = None
    media_public_url: ShownAddress | None = None
    media_link_seconds: int = Field(default=24 * 3600, ge=60, le=7 * 24 * 3600)
    media_endpoints: str = ""
    media_max_bytes: int = Field(default=2 * 1024**3, ge=1, le=5 * 1024**3)
    media_concurrency: int = Field(default=4, ge=1, le=64)

    forward_url: ForwardUrl | None = None
    forward_secret: ForwardSecret | None = None
    forward_events: EventNames = BY_DEFAULT
    forward_fal: ForwardUrl | None = None

    api_keys: ApiKeys | None = None
    token_secret: TokenSecret | None = None
    token_jwks_url: KeyAddresses | None = None
    token_issuer: str = ""
    token_audience: str = ""
    token_user_claim: str = USER_CLAIM
    allowed_origins: Origins = ""

    @model_validator(mode="after")
    def _check_access(self) -> "Settings":
        found = (self._wrong_providers(), self._open_to_all(), self._unsigned())
        problems = [problem for problem in found if problem]
        if self.exposed:
            advice = "anyone who can reach this server could guess it; use the output of `openssl rand -hex 32`"
            problems += [f"{problem}: {advice}" for problem in self.weak()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _wrong_providers(self) -> str | None:
        try:
            self.providers  # noqa: B018 - parses them
        except ValueError as error:
            return str(error)
        return None

    def _open_to_all(self) -> str | None:
        if not self.open or is_loopback(self.host):
            return None
        return (
            f"{PREFIX}HOST={self.host}: without keys every caller sees every job, so the server binds to "
            f"loopback only; set {PREFIX}API_KEYS for your backend and {PREFIX}TOKEN_SECRET for browsers "
            "(each the output of `openssl rand -hex 32`), or use 127.0.0.1"
        )

    def _unsigned(self) -> str | None:
        if self.forward_url is None or self.forward_secret is not None:
            return None
        return (
            f"{PREFIX}FORWARD_SECRET: is needed to sign the webhooks to {PREFIX}FORWARD_URL; use the output of "
            '`echo "whsec_$(openssl rand -base64 32)"`, and give your backend the same'
        )

    def weak(self) -> list[str]:
        """Return what is wrong with each key and secret that could be guessed, without quoting it."""
        given = (("API_KEYS", self.keys, KEY_BYTES), ("TOKEN_SECRET", self.secrets, SECRET_BYTES))
        found = []
        for name, texts, least in given:
            for number, text in enumerate(texts, 1):
                which = f" (number {number})" if len(texts) > 1 else ""
                why = weakness(text, least)
                found += [f"{PREFIX}{name}{which} {why}"] if why else []
        return found

    @property
    def exposed(self) -> bool:
        """True when callers from other machines can reach the server: by its address, or through a proxy or tunnel."""
        public = self.public_url is not None and not is_loopback(urlsplit(self.public_url).hostname or "")
        return public or not is_loopback(self.host)

    @property
    def open(self) -> bool:
        """True when every caller may do everything: no API key, no token secret, no identity provider."""
        return not (self.keys or self.secrets or self.token_jwks_url)

    @property
    def keys(self) -> tuple[str, ...]:
        """The API keys."""
        return () if self.api_keys is None else tuple(listed(self.api_keys.get_secret_value()))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of tokens: the first signs, all verify."""
        return () if self.token_secret is None else tuple(listed(self.token_secret.get_secret_value()))

    @property
    def held(self) -> list[str]:
        """Every key and secret: what no line of the log may show."""
        fal_key = [] if self.fal_key is None else [self.fal_key.get_secret_value()]
        forward = [] if self.forward_secret is None else listed(self.forward_secret.get_secret_value())
        return [*self.keys, *self.secrets, *fal_key, *forward]

    @property
    def providers(self) -> tuple[Trust, ...]:
        """The identity providers whose tokens are accepted."""
        return parse_trusts(self.token_jwks_url or "", self.token_issuer, self.token_audience, self.token_user_claim)

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins allowed to make requests; `*` = all."""
        return tuple(listed(self.allowed_origins))

    @property
    def kept_endpoints(self) -> tuple[str, ...]:
        """The endpoints whose files are kept, as shell patterns; none = all."""
        return tuple(listed(self.media_endpoints))

    @property
    def forward_keys(self) -> tuple[bytes, ...]:
        """The keys that sign what the backend is told."""
        return () if self.forward_secret is None else signing_keys(self.forward_secret.get_secret_value())

    @property
    def told_events(self) -> frozenset[EventType]:
        """The events that the backend is told: none without its URL."""
        return frozenset() if self.forward_url is None else event_types(self.forward_events)

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
