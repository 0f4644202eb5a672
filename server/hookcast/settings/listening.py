"""What the settings of all commands share: how they are read, where to listen, what to log."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "HOOKCAST_"

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]


Host = Annotated[str, AfterValidator(lambda host: host.removeprefix("[").removesuffix("]"))]  # of an IPv6 address
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]


class ReadSettings(BaseSettings):
    """Settings from the environment and `.env`, without blanks or quotes around them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _without_quotes(cls, value: object) -> object:
        """Strip blanks, and refuse quotes: `docker run --env-file` and Kubernetes pass them on, unlike a shell."""
        if not isinstance(value, str):
            return value
        text = value.strip()
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            raise ValueError("must not be in quotes")
        return text


class ListenSettings(ReadSettings):
    """The listening address: all that the health check loads, so that no other setting can break it."""

    host: Host = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)


class LogSettings(ReadSettings):
    """What to log: all that the emulator loads."""

    log_level: LogLevel = "info"
