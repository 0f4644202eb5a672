"""docs/python.md is true."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from hookcast import client
from support.commands import DEADLINE
from support.server import Node

pytestmark = pytest.mark.anyio
PAGE = (Path(__file__).parents[3] / "docs" / "python.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(2))
async def test_each_example_works_as_written(tmp_path: Path, whole: Node, number: int) -> None:
    """Only the address is another one: its last line is the image's address."""
    assert (await _said(EXAMPLES[number], tmp_path, whole))[-1].startswith("http")
    assert len(EXAMPLES) == 3


async def test_the_example_of_kept_files_shows_the_copy(tmp_path: Path, keeping: Node) -> None:
    assert re.fullmatch(r"kept (\d+) \1 http://.+/media/.+\.png", (await _said(EXAMPLES[2], tmp_path, keeping))[-1])


async def _said(example: str, folder: Path, node: Node) -> list[str]:
    """Run an example with the server's address, and return the lines of its output."""
    file = folder / "example.py"
    file.write_text(example.replace("http://127.0.0.1:8000", node.url))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(file)), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert (process.returncode, err) == (0, b"")
    return out.decode().splitlines()


def test_every_error_is_in_the_table() -> None:
    errors = {name for name, kind in vars(client).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert {name for name in errors if f"`{name}" not in PAGE} == set()
    methods = {name for name in vars(client.Hookcast) if not name.startswith("_")}
    assert {name for name in methods if f"`{name}(" not in PAGE} == set()
