"""The code in the documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CHANGE = re.compile(r"((?:^-.*\n)+)((?:^\+.*\n)*)", re.MULTILINE)
_NAMED = re.compile(r"(?:#|//|--|<!--) (\S+\.\w+)(?: -->)?\n")


def shell_blocks(page: str, heading: str) -> list[str]:
    """Return the shell blocks below the heading and above the next one, in order."""
    return code_blocks(page, heading, "sh")


def code_blocks(page: str, heading: str, language: str) -> list[str]:
    """Return the blocks of a language below the heading and above the next one, in order."""
    _, found, rest = (ROOT / page).read_text().partition(f"{heading}\n")
    assert found, f"{page} has no {heading}"
    block = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return block.findall(re.split(r"^##+ ", rest, maxsplit=1, flags=re.MULTILINE)[0])


def write_files(folder: Path, page: str, heading: str) -> None:
    """Write each block below the heading whose first line is a comment with a file's name into that file."""
    for language in ("ts", "tsx", "js", "svelte", "vue", "python", "ruby", "sql", "toml", "yaml"):
        for code in code_blocks(page, heading, language):
            if named := _NAMED.match(code):
                file = folder / named[1]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(code)


def apply_diff(file: Path, diff: str) -> None:
    """Change a file as a page's diff says: each line that it takes away is there once."""
    for change in _CHANGE.finditer(diff):
        old, new = (re.sub(r"^[-+]", "", lines, flags=re.MULTILINE) for lines in change.groups())
        text = file.read_text()
        assert text.count(old) == 1, old
        file.write_text(text.replace(old, new))
