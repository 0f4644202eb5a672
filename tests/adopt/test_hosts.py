"""The configuration files of docs/adopt/hosts.md: they parse, fit the image, and their settings are accepted."""

import re
import tomllib
from secrets import token_hex
from typing import Any

import pytest
import yaml

from hookcast.settings import PREFIX, Settings
from support.readmes import ROOT, code_blocks, shell_blocks

PAGE = "docs/adopt/hosts.md"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
(PORT,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
DRAIN_SECONDS = 30  # docs/operations.md, "Containers"
SECRETS = {"HOOKCAST_API_KEYS": token_hex(32), "HOOKCAST_TOKEN_SECRET": token_hex(32), "FAL_KEY": "key"}
POSTGRES = "postgresql://hookcast:secret@db.internal:5432/hookcast"


def fly() -> dict[str, Any]:
    (text,) = code_blocks(PAGE, "## Fly", "toml")
    return tomllib.loads(text)


def render() -> dict[str, Any]:
    (text,) = code_blocks(PAGE, "## Render", "yaml")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def railway() -> tuple[dict[str, Any], dict[str, str]]:
    (text,) = code_blocks(PAGE, "## Railway", "toml")
    (variables,) = shell_blocks(PAGE, "## Railway")
    return tomllib.loads(text), dict(re.findall(r"^(\w+)=(\S+)", variables, re.MULTILINE))


def test_fly_reaches_the_image_and_lets_it_drain() -> None:
    config = fly()
    service = config["http_service"]
    assert str(service["internal_port"]) == PORT
    assert service["auto_stop_machines"] == "off"
    assert [check["path"] for check in service["checks"]] == ["/healthz"]
    assert config["kill_timeout"] >= DRAIN_SECONDS
    assert config["env"]["HOOKCAST_DATABASE_URL"].startswith(f"sqlite:///{config['mounts']['destination']}/")
    accepted(config["env"])


def test_render_reaches_the_image_and_lets_it_drain() -> None:
    config = render()
    (service,) = config["services"]
    given = {variable["key"]: variable for variable in service["envVars"]}
    assert given.pop("PORT")["value"] == PORT
    assert service["healthCheckPath"] == "/healthz"
    assert service["maxShutdownDelaySeconds"] >= DRAIN_SECONDS
    (database,) = config["databases"]
    assert given["HOOKCAST_DATABASE_URL"]["fromDatabase"]["name"] == database["name"]
    assert {name for name, variable in given.items() if variable.get("sync") is False} == set(SECRETS)
    accepted({name: variable["value"] for name, variable in given.items() if "value" in variable})


def test_railway_reaches_the_image_and_lets_it_drain() -> None:
    config, variables = railway()
    assert config["deploy"]["healthcheckPath"] == "/healthz"
    assert config["deploy"]["drainingSeconds"] >= DRAIN_SECONDS
    assert variables.pop("PORT") == PORT
    assert variables.pop("HOOKCAST_DATABASE_URL") == "${{Postgres.DATABASE_URL}}"
    accepted(variables)


def accepted(environment: dict[str, str]) -> None:
    """Require that the server starts with these settings, its secrets and a database, on all interfaces."""
    given = {"HOOKCAST_DATABASE_URL": POSTGRES, "HOOKCAST_HOST": "0.0.0.0", **SECRETS, **environment}  # noqa: S104
    settings = Settings(**{name.removeprefix(PREFIX).lower(): value for name, value in given.items()})  # type: ignore[arg-type]
    assert settings.public_url


@pytest.mark.parametrize("fact", ["HOOKCAST_HOST=0.0.0.0", "USER 10001", "VOLUME /data"])
def test_what_the_page_says_of_the_image_is_so(fact: str) -> None:
    assert fact in DOCKERFILE
