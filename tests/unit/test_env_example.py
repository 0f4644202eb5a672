"""`.env.example` names real settings, and what it shows are their defaults."""

import re
from pathlib import Path

import pytest

from hookcast.settings import PREFIX, Settings, load_settings

EXAMPLE = (Path(__file__).parents[2] / ".env.example").read_text()
LINES = re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine, no `.env`."""
    for name in (*(PREFIX + field.upper() for field in Settings.model_fields), "FAL_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_every_name_is_a_setting() -> None:
    """A misspelt one would be ignored without a word."""
    fields = {name.removeprefix(PREFIX).lower() for name, _ in LINES}
    assert len(LINES) >= 10
    assert fields <= set(Settings.model_fields)


def test_copied_as_it_is_it_changes_nothing(tmp_path: Path) -> None:
    """Empty values count as not given."""
    (tmp_path / ".env").write_text(EXAMPLE)
    assert load_settings() == Settings()
    assert load_settings().fal_key is None


@pytest.mark.parametrize(("name", "value"), [line for line in LINES if line[1] and "_FAL_" not in line[0]])
def test_what_is_commented_out_is_the_default(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """So that a reader learns it there."""
    default = load_settings()
    monkeypatch.setenv(name, value)
    assert load_settings() == default
