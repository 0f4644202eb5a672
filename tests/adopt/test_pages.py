"""docs/adopt/: its links lead somewhere, its settings exist, and people find it."""

import re
from pathlib import Path

import pytest

from hookcast.settings import PREFIX, ClientSettings, Settings
from support.readmes import ROOT

FOLDER = ROOT / "docs/adopt"
PAGES = sorted(FOLDER.glob("*.md"))
KNOWN = {PREFIX + name.upper() for shape in (Settings, ClientSettings) for name in shape.model_fields}
OF_THE_APP = {"HOOKCAST_API_KEY", "VITE_HOOKCAST_URL"}  # `hookcast/server` reads the first
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_heading_or_a_file(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for path, anchor in LINK.findall(text):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_exists(page: Path) -> None:
    assert set(re.findall(r"\b(?:VITE_)?HOOKCAST_[A-Z_]+\b", page.read_text())) <= KNOWN | OF_THE_APP


def test_the_index_names_every_guide() -> None:
    index = (FOLDER / "README.md").read_text()
    assert [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in index] == []


@pytest.mark.parametrize("page", ["README.md", "docs/README.md", "docs/llms.txt"])
def test_it_is_linked_from_where_people_look(page: str) -> None:
    assert "adopt/README.md" in (ROOT / page).read_text()
