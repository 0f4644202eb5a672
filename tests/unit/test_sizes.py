"""No module is longer than a reader keeps in mind, and no function longer than a screen.

`web/biome.json` has the same limits for TypeScript. Biome counts a function's lines of code, without comments and blank
lines, so its limit is 35.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_LINES, FUNCTION_LINES = 300, 40


def _sources(folder: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "node_modules" not in path.parts:
            yield str(path.relative_to(ROOT)), path.read_text()


@pytest.mark.parametrize("folder", ["server/hookcast", "bench", "tests"])
def test_no_module_is_too_long(folder: str) -> None:
    """Split one by what it is about."""
    lengths = {path: len(source.splitlines()) for path, source in _sources(folder)}
    assert {path: length for path, length in lengths.items() if length > MODULE_LINES} == {}


@pytest.mark.parametrize("folder", ["server/hookcast", "bench", "tests"])
def test_no_function_is_too_long(folder: str) -> None:
    """Name a part of one, and move it out."""
    lengths = {
        f"{path} {node.name}": length
        for path, source in _sources(folder)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert lengths == {}
