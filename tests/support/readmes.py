"""The code in the documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def shell_blocks(page: str, heading: str) -> list[str]:
    """Return the shell blocks below the heading and above the next one, in order."""
    return code_blocks(page, heading, "sh")


def code_blocks(page: str, heading: str, language: str) -> list[str]:
    """Return the blocks of a language below the heading and above the next one, in order."""
    _, found, rest = (ROOT / page).read_text().partition(f"{heading}\n")
    assert found, f"{page} has no {heading}"
    block = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return block.findall(re.split(r"^##+ ", rest, maxsplit=1, flags=re.MULTILINE)[0])
