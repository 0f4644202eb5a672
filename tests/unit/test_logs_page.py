"""docs/logs.md has every event that the log can print, with its levels and fields, and no other."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from hookcast.push.admission import BY_CLIENT
from hookcast.push.closes import Close
from hookcast.routes import openapi

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "server/hookcast"
LEVELS = {"debug", "info", "warning", "error", "critical"}
REPEATED = {"warning", "error"}  # what `tasks.repeat` logs its failures as
FORWARDED = {("tasks.py", "event"), ("logs/throttle.py", "event")}  # they log the events that they are given
ANY = {"any"}

Found = dict[str, tuple[set[str], set[str]]]  # event → levels, fields


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a method that is named as a level."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        of_protocol = isinstance(node.func.value, ast.Name) and node.func.value.id == "messages"
        if node.func.attr in LEVELS and not of_protocol:
            yield node.func.attr, node


def _logged() -> Found:
    """Return every event of the source."""
    found: Found = defaultdict(lambda: (set(), set()))
    for file in sorted(SOURCE.rglob("*.py")):
        name, tree = file.relative_to(SOURCE).as_posix(), ast.parse(file.read_text())
        for level, call in _calls(tree):
            event = call.args[0]
            if isinstance(event, ast.Name) and (name, event.id) in FORWARDED:
                continue
            assert isinstance(event, ast.Constant), f"{name}:{call.lineno}: the event must be a literal"
            levels, fields = found[str(event.value)]
            levels.add(level)
            fields.update("exception" if key.arg == "exc_info" else key.arg for key in call.keywords if key.arg)
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "failed" and isinstance(node.value, ast.Constant):
                found[str(node.value.value)][0].update(REPEATED)
                found[str(node.value.value)][1].update({"failures", "reason", "exception"})
            if isinstance(node, ast.Dict) and name == "logs/setup.py":  # of the standard library
                texts = [getattr(key, "value", None) for key in node.keys]
                if "event" in texts:
                    event = node.values[texts.index("event")]
                    assert isinstance(event, ast.Constant)
                    found[str(event.value)][0].update({"warning"} if event.value == "python_warning" else ANY)
    return dict(found)


def _documented() -> Found:
    """Return every event of the page's tables."""
    found: Found = {}
    in_table = False
    for line in (ROOT / "docs/logs.md").read_text().splitlines():
        in_table = line.startswith("| event | level |") or (in_table and line.startswith("|"))
        if in_table and line.startswith("| `"):
            events, levels, _, fields, _ = (cell.strip() for cell in line.split("|")[1:-1])
            for event in re.findall(r"`(\w+)`", events):
                assert event not in found, f"{event} stands twice"
                found[event] = set(levels.split(", ")), set(re.findall(r"`(\w+)`", fields))
    return found


LOGGED, DOCUMENTED = _logged(), _documented()


def test_the_source_was_read() -> None:
    assert {"webhook_refused", "not_cleaned", "library", "request", "stopped"} <= LOGGED.keys()


def test_every_event_is_documented_and_every_documented_event_exists() -> None:
    assert sorted(DOCUMENTED.keys() ^ LOGGED.keys()) == []


@pytest.mark.parametrize("event", sorted(LOGGED.keys() & DOCUMENTED.keys()))
def test_levels_and_fields_are_documented(event: str) -> None:
    """Fields that a call passes on as a whole are not compared."""
    assert DOCUMENTED[event][0] == LOGGED[event][0]
    assert LOGGED[event][1] - {"suppressed"} <= DOCUMENTED[event][1]


def _rows(header: str) -> set[str]:
    """Return what stands in the first column of a table."""
    page = (ROOT / "docs/logs.md").read_text()
    rows = page.partition(f"| {header} |")[2].partition("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_every_reason_to_close_a_stream_is_documented() -> None:
    found = {close.name.lower() for close in Close if close is not Close.RESTART} | {BY_CLIENT}
    for file in (SOURCE / "push").glob("*.py"):
        found.update(re.findall(r'why="(\w+)"', file.read_text()))
    assert _rows("`why`") == found


def test_every_code_of_a_refused_webhook_is_documented() -> None:
    assert _rows("`code` of `webhook_refused`") == set(openapi.codes("post", "/api/webhooks/fal"))


def test_the_page_is_linked() -> None:
    """From where people look first."""
    for page in ("README.md", "docs/README.md", "docs/llms.txt", "docs/operations.md"):
        assert "logs.md" in (ROOT / page).read_text(), page
