"""The security page names tests, and they are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:unit|contract|integration|fuzz)/[\w/]+\.py)`|`(test_\w+)`")


def test_every_test_that_the_security_page_names_exists() -> None:
    """Each attack in the table has one, in the file that was named last."""
    page = (ROOT / "docs/security.md").read_text()
    rows = page.partition("| attack | test |\n")[2].splitlines()[1:]
    assert len(rows) > 20
    for row in rows:
        source, names = "", 0
        for file, name in NAMED.findall(row):
            if file:
                source = (ROOT / "tests" / file).read_text()
            else:
                assert f"def {name}(" in source, row
                names += 1
        assert names, row


def test_the_security_page_is_linked() -> None:
    """From where people look first."""
    assert "(docs/security.md)" in (ROOT / "README.md").read_text()
    assert "(security.md)" in (ROOT / "docs/operations.md").read_text()
