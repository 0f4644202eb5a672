"""docs/media.md: its settings load, its policies are JSON, and it names every reason."""

import json
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from hookcast.media.failures import Reason
from hookcast.media.storage.opening import parse
from hookcast.settings import Settings
from support.readmes import ROOT

PAGE = (ROOT / "docs/media.md").read_text()
URLS = re.findall(r"^HOOKCAST_MEDIA_URL=(\S+)", PAGE, re.MULTILINE) + re.findall(
    r"`((?:file|s3|gs|az)://\w[^`…]*)`", PAGE
)


@pytest.mark.parametrize("url", sorted(set(URLS)))
def test_each_storage_that_it_shows_is_one(url: str) -> None:
    given = Settings(media_url=SecretStr(url)).media_url
    assert given is not None
    assert parse(given.get_secret_value())


def test_it_shows_the_usual_storages() -> None:
    for part in (
        "file:///",
        "supabase",
        "r2.cloudflarestorage",
        "minio",
        "backblaze",
        "digitaloceanspaces",
        "gs://",
        "az://",
    ):
        assert any(part in url for url in URLS), part


def test_its_policies_are_json() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len([json.loads(block) for block in blocks]) == 2


@pytest.mark.parametrize("reason", Reason)
def test_it_says_why_a_file_is_left(reason: Reason) -> None:
    assert f"| `{reason}` |" in PAGE


@pytest.mark.parametrize(
    "page", ["README.md", "docs/README.md", "docs/llms.txt", "docs/operations.md", "docs/protocol.md"]
)
def test_it_is_linked_from_where_people_look(page: str) -> None:
    assert "media.md" in Path(ROOT / page).read_text()
