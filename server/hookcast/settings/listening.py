"""The listening address: what every command's settings begin with."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "HOOKCAST_"

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

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
