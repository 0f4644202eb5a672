"""docs/backend.md: its test vector is right, and people find it."""

import re
from base64 import b64decode
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from hookcast.eventtypes import EventType
from hookcast.forward.schedule import RETRIES
from hookcast.settings import Settings
from support.readmes import ROOT

PAGE = (ROOT / "docs/backend.md").read_text()


def test_its_example_of_a_signature_is_what_the_official_library_makes() -> None:
    rows = dict(re.findall(r"^\| `?([\w-]+)`? \| `(.+?)` \|$", PAGE.partition("To try your code:")[2], re.MULTILINE))
    at = datetime.fromtimestamp(int(rows["webhook-timestamp"]), UTC)
    assert Webhook(rows["secret"]).sign(rows["webhook-id"], at, rows["body"]) == rows["webhook-signature"]


def test_its_command_makes_a_secret() -> None:
    (count,) = re.findall(r'echo "whsec_\$\(openssl rand -base64 (\d+)\)"', PAGE)
    assert 24 <= int(count) <= 64  # Standard Webhooks 1.0, "Signature scheme"
    (signature,) = re.findall(r"^webhook-signature: v1,(\S+)$", PAGE, re.MULTILINE)
    assert len(b64decode(signature)) == 32


@pytest.mark.parametrize(
    "page", ["README.md", "docs/README.md", "docs/llms.txt", "docs/protocol.md", "docs/supabase.md"]
)
def test_it_is_linked_from_where_people_look(page: str) -> None:
    assert "backend.md" in (ROOT / page).read_text()


@pytest.mark.parametrize("kind", EventType)
def test_it_explains_each_type(kind: EventType) -> None:
    assert f"| `{kind}` |" in PAGE


def test_its_schedule_is_the_servers() -> None:
    (text,) = re.findall(r"tries again after about (.*) \|$", PAGE, re.MULTILINE)
    units = {"s": 1, "min": 60, "h": 3600}
    assert tuple(float(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", text)) == RETRIES


@pytest.mark.parametrize("name", ["forward_url", "forward_secret", "forward_events", "forward_fal"])
def test_it_explains_each_setting(name: str) -> None:
    assert name in Settings.model_fields
    assert f"| `HOOKCAST_{name.upper()}` |" in PAGE
