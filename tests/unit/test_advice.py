"""What will surprise is told before it does."""

from pathlib import Path

import pytest

from hookcast import advice
from hookcast.settings import given_names, load_settings

KEY = "5f0c9f27b1b94e0a8d6e3c41"
SECRET = "b7c1d4a09e5f4f6b8a3f2c6d1e0f9a8b7c6d5e4f"
COMPLETE = {
    "api_keys": KEY,
    "token_secret": SECRET,
    "fal_user_id": "u",
    "fal_key": "id:secret",
    "public_url": "https://h.example",
}


def told(**settings: str) -> str:
    """All warnings as one text."""
    return " ".join(advice.warnings(load_settings(**settings)))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine, no `.env`."""
    for name in given_names():
        if name.startswith(("HOOKCAST", "FAL")) or name in {"DATABASE_URL", "REDIS_URL", "PORT"}:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_what_is_missing_is_told_with_the_setting_that_mends_it() -> None:
    """And nothing of settings that are complete."""
    for name in ("HOOKCAST_API_KEYS", "HOOKCAST_TOKEN_SECRET is too short", "HOOKCAST_FAL_USER_ID"):
        assert name in told(token_secret="short")
    assert "HOOKCAST_TOKEN_SECRET" in told(api_keys=KEY)
    assert told(**COMPLETE) == ""


def test_an_open_server_with_a_public_address_is_warned_of() -> None:
    """A tunnel or a proxy lets the world in where the loopback address does not."""
    assert "anyone who can reach" in told(public_url="https://x.example")
    for kept in ({"public_url": "http://127.0.0.1:8000"}, {"public_url": "https://x.example", "api_keys": KEY}, {}):
        assert "anyone who can reach" not in told(**kept)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HOOKCAST_API_KEY", "HOOKCAST_API_KEYS"),
        ("hookcast_api_key", "HOOKCAST_API_KEYS"),
        ("HOOKCAST_TOKENSECRET", "HOOKCAST_TOKEN_SECRET"),
        ("HOOKCAST_SECRET", "HOOKCAST_TOKEN_SECRET"),
        ("HOOKCAST_DATABASE", "HOOKCAST_DATABASE_URL"),
        ("HOOKCAST_REDIS", "HOOKCAST_REDIS_URL"),
        ("HOOKCAST_PUBLIC_URI", "HOOKCAST_PUBLIC_URL"),
        ("HOOKCAST_ALLOWED_ORIGIN", "HOOKCAST_ALLOWED_ORIGINS"),
        ("HOOKCASTAPI_KEYS", "HOOKCAST_API_KEYS"),
        ("HOOKCAST_DB_URL", "HOOKCAST_DATABASE_URL"),
        ("HOOKCAST_WEBHOOK_URL", "HOOKCAST_PUBLIC_URL"),
        ("HOOKCAST_JWT_SECRET", "HOOKCAST_TOKEN_SECRET"),
        ("HOOKCAST_BIND", "HOOKCAST_HOST"),
        ("HOOKCAST_COLOUR_OF_THE_SKY", "README"),
    ],
)
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_name_that_is_no_setting_is_told_with_the_nearest(
    name: str, meant: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it stands, in capitals or not."""
    if where == ".env":
        Path(".env").write_text(f"{name}=x\n")
    else:
        monkeypatch.setenv(name, "x")
    [hint] = [hint for hint in advice.warnings(load_settings(**COMPLETE)) if name.upper() in hint]
    assert meant in hint


@pytest.mark.parametrize("service", ["HOOKCAST", "HOOKCAST_WEB"])
def test_what_kubernetes_tells_of_a_service_is_left_alone(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does no harm, but for HOOKCAST_PORT; a slip beside it is told all the same."""
    for end in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_80_TCP", "PORT_80_TCP_ADDR"):
        monkeypatch.setenv(f"{service}_{end}", "x")
    if service != "HOOKCAST":
        monkeypatch.setenv(f"{service}_PORT", "tcp://10.0.0.1:80")
    assert told(**COMPLETE) == ""
    for name in ("HOOKCAST_PORTS", "HOOKCAST_HTTP_PORT"):
        monkeypatch.setenv(name, "8000")
        assert f"{name} is not a setting of this version and has no effect: did you mean HOOKCAST_PORT?" in told(
            **COMPLETE
        )


@pytest.mark.parametrize("name", ["HOOKCAST_URL", "HOOKCAST_TOKEN", "HOOKCAST_FAL_KEY", "hookcast_port"])
def test_names_of_clients_and_other_spellings_are_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand in the same environment."""
    monkeypatch.setenv(name, {"HOOKCAST_URL": "https://x.example", "HOOKCAST_FAL_KEY": "1:1"}.get(name, "8000"))
    assert told(**COMPLETE) == ""


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "PORT"])
def test_what_a_platform_sets_without_the_prefix_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the jobs lie in a file that the next deployment removes. Not where the setting is there, too."""
    value = {"DATABASE_URL": "postgresql://u:secret@db/x", "REDIS_URL": "redis://r", "PORT": "8080"}[name]
    monkeypatch.setenv(name, value)
    assert told(**COMPLETE) == f"{name} is set but has no effect: Hookcast reads HOOKCAST_{name}."
    monkeypatch.setenv(f"HOOKCAST_{name}", value)
    assert told(**COMPLETE) == ""


@pytest.mark.parametrize("name", ["FAL_API_KEY", "FALKEY", "FAL_KEY_ID", "FAL_AI_KEY", "FAL_TOKEN"])
def test_a_key_of_fals_in_another_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "id:secret")
    assert name in told()
    assert name not in told(**COMPLETE)


def test_a_key_of_fals_has_two_parts() -> None:
    """The first alone is a common slip; the emulated fal takes any key."""
    assert "colon" in told(**COMPLETE | {"fal_key": "only-the-id"})
    assert "colon" not in told(**COMPLETE | {"fal_key": "x", "fal_queue_url": "http://127.0.0.1:8001"})


@pytest.mark.parametrize("public", [None, "http://localhost:8000", "http://127.0.0.1:8000"])
def test_weak_keys_and_secrets_are_a_warning_on_loopback(public: str | None) -> None:
    """For trying things out; each is named."""
    given = {"api_keys": f"{KEY}, changeme", "token_secret": "short"} | ({"public_url": public} if public else {})
    assert "HOOKCAST_API_KEYS (number 2)" in told(**given)
    assert "HOOKCAST_TOKEN_SECRET is too short" in told(**given)
    assert "changeme" not in told(**given)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"media_url": "file:///m", "redis_url": "redis://r"}, "shared file system"),
        ({"media_url": "s3://b", "media_public_url": "http://cdn.example"}, "not https"),
        ({"media_public_url": "https://cdn.example"}, "no effect without HOOKCAST_MEDIA_URL"),
    ],
)
def test_a_storage_that_is_probably_set_wrong_is_warned_of(given: dict[str, str], word: str) -> None:
    assert word in told(**COMPLETE, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"media_url": "file:///m"},
        {"media_url": "s3://b", "redis_url": "redis://r", "media_public_url": "https://cdn.example/p"},
        {"media_url": "file:///m", "media_public_url": "http://127.0.0.1:9000"},
    ],
)
def test_a_storage_that_is_set_well_is_not_warned_of(given: dict[str, str]) -> None:
    assert told(**COMPLETE, **given) == ""


def test_relative_links_are_warned_of() -> None:
    relative = {name: value for name, value in COMPLETE.items() if name != "public_url"}
    assert "relative" in told(**relative, media_url="file:///m")
    assert "relative" not in told(**relative, media_url="s3://b")
    assert "relative" not in told(**relative, media_url="file:///m", media_public_url="https://cdn.example")


def test_one_text_for_a_key_and_a_secret_is_warned_of() -> None:
    """Whoever has the one could make the other's."""
    assert "also a key" in told(**COMPLETE | {"api_keys": SECRET})


IDP = {"token_jwks_url": "https://idp.example/keys", "token_issuer": "https://idp.example", "token_audience": "app"}


def test_a_provider_without_tls_is_warned_of() -> None:
    """By its address; nothing of one that is complete, or on this machine."""
    assert told(**COMPLETE, **IDP) == ""
    insecure = {"token_jwks_url": "http://idp.example/keys", "token_issuer": "http://idp.example"}
    assert "http://idp.example/keys and http://idp.example in" in told(**COMPLETE, **{**IDP, **insecure})
    local = {"token_jwks_url": "http://127.0.0.1:9999/keys", "token_issuer": "http://localhost:9999"}
    assert told(**COMPLETE, **{**IDP, **local}) == ""


def test_a_search_path_and_a_schema_of_a_file_are_told_to_have_no_effect() -> None:
    """The tables are where the setting says, on PostgreSQL."""
    url = "postgresql://u:secret@h/d"
    for words in ("?options=-csearch_path%3Dapart", "?search_path=apart"):
        warned = told(**COMPLETE, database_url=url + words)
        assert "in the schema hookcast, by HOOKCAST_DATABASE_SCHEMA" in warned
        assert "secret" not in warned
    assert told(**COMPLETE, database_url=url, database_schema="apart") == ""
    assert "HOOKCAST_DATABASE_SCHEMA has no effect" in told(**COMPLETE, database_schema="apart")
