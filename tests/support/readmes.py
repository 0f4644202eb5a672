"""The shell commands in the documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shell_blocks(page: str, heading: str) -> list[str]:
    """Return the shell blocks below the heading and above the next one, in order."""
    _, found, rest = (ROOT / page).read_text().partition(f"{heading}\n")
    assert found, f"{page} has no {heading}"
    return _BLOCK.findall(re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0])
