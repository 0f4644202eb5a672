"""Settings as they are written: in an environment, and in a file with quotes, blanks and empty lines."""

from pathlib import Path

import pytest

from hookcast.errors import SettingsError
from hookcast.settings import load_settings
from support.access import API_KEY, SECRET


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_keys", API_KEY),
        ("token_secret", SECRET),
        ("fal_key", "a:b"),
        ("host", "127.0.0.1"),
        ("fal_user_id", "user-1"),
    ],
)
def test_quotes_that_nothing_has_removed_are_refused(name: str, value: str, quote: str) -> None:
    """Docker and Kubernetes pass them on; a key with quotes would never match."""
    with pytest.raises(SettingsError, match="must not be in quotes") as caught:
        load_settings(**{name: f"{quote}{value}{quote}"})
    assert value not in str(caught.value)


@pytest.mark.parametrize("line", ["{}: x-1", '{}="x-1', "{}", "export {} x-1", "{}='x-1' y"])
@pytest.mark.parametrize("name", ["HOOKCAST_API_KEYS", "hookcast_api_key", "FAL_KEY"])
def test_a_line_of_the_env_file_that_cannot_be_read_is_refused(
    name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parser would skip it, and leave the server open; the message has every other wrong setting, too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"# mine\nOTHER: x\n{line.format(name)}\nHOOKCAST_HEARTBEAT_SECONDS=0\n")
    with pytest.raises(SettingsError, match=f"line 3 of .env: must be {name}=value") as caught:
        load_settings()
    assert "HOOKCAST_HEARTBEAT_SECONDS" in str(caught.value)
    assert "x-1" not in str(caught.value)


def test_every_way_to_write_a_line_of_the_env_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["\ufeffexport HOOKCAST_API_KEYS=k", "hookcast_port = 81 # mine", "HOOKCAST_TOKEN_SECRET=", "FAL_KEY='a:b'"]
    (tmp_path / ".env").write_text("\r\n".join(lines), encoding="utf-8")
    given = load_settings()
    assert (given.keys, given.port, given.secrets) == (("k",), 81, ())


def test_blanks_around_a_value_do_not_count() -> None:
    """They come along when a value is copied, or read from a file."""
    given = load_settings(host=" 127.0.0.1\n", token_secret=f"{SECRET}\n", public_url="https://x.test ")
    assert (given.host, given.secrets, given.public_url) == ("127.0.0.1", (SECRET,), "https://x.test")


@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_keys_that_are_set_and_empty_open_no_server_to_the_world(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either they are wrong, or they count as not set, and then the server stays on loopback."""
    monkeypatch.setenv("HOOKCAST_API_KEYS", value)
    with pytest.raises(SettingsError):
        load_settings(host="0.0.0.0")  # noqa: S104


def test_an_empty_variable_does_not_undo_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in `.env` count; those in the environment come first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("HOOKCAST_API_KEYS=from-the-file\n")
    monkeypatch.setenv("HOOKCAST_API_KEYS", "")
    assert load_settings().keys == ("from-the-file",)
    monkeypatch.setenv("HOOKCAST_API_KEYS", "from-the-environment")
    assert load_settings().keys == ("from-the-environment",)


def test_space_around_a_fal_key_is_left_out() -> None:
    """It comes along when a key is copied."""
    key = load_settings(fal_key=" fal-1234\n").fal_key
    assert key is not None
    assert key.get_secret_value() == "fal-1234"
