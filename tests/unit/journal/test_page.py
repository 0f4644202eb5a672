"""docs/journal.md names what the journal can contain."""

import re
from pathlib import Path

from hookcast.journal import Event

PAGE = Path(__file__).parents[3] / "docs" / "journal.md"


def test_every_event_is_on_the_page_and_no_other() -> None:
    page = PAGE.read_text()
    table = page[page.index("## The events") : page.index("## Refused webhooks")]
    first_cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == set(Event)
