"""`hookcast jobs` as an operator mistypes it, or as fal and other peers would have it."""

from pathlib import Path

import httpx
import pytest

from support.commands import hookcast, in_shell
from support.fal import ENDPOINT
from support.server import Node

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "line",
    [
        ["show", ""],
        ["show", "a/b"],
        ["show", "../../api/tokens"],
        ["cancel", "job-1", "a\x1b[31m"],
        ["delete", "x" * 201],
        ["redeliver", "job-1", ""],
        ["redeliver"],
        ["redeliver", "--since", "yesterday\x1b[2J"],
        ["redeliver", "--since", "2026-11-29T10:00:00"],
        ["redeliver", "--since", "0001-01-01T00:00:00+14:00"],
        ["redeliver", "--since", "9999-12-31T23:59:59-14:00"],
        ["redeliver", "job-1", "--since", "2026-11-29T10:00:00Z"],
        ["list", "--status", "done"],
        ["list", "--owner", ""],
    ],
    ids=" ".join,
)
async def test_wrong_input_is_one_line_and_code_2(node: Node, tmp_path: Path, line: list[str]) -> None:
    said = await hookcast(tmp_path, "jobs", *line, "--url", node.url)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("hookcast: ")
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err


@pytest.mark.parametrize(
    "line",
    [
        *(("jobs", "list", option, b"\xff") for option in ("--owner", "--group")),
        *(("watch", name) for name in ("a/b", "..", "a..b", "a\\b", ".", "", "events", "ws", b"\xff")),
    ],
    ids=ascii,
)
async def test_what_cannot_be_asked_for_is_one_line_and_code_2(
    node: Node, tmp_path: Path, line: tuple[str | bytes, ...]
) -> None:
    said = await hookcast(tmp_path, *line, "--url", node.url)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("hookcast: ")
    assert said.err.count("\n") == 1
    assert "?" not in said.err, "what was sent means nothing to a person"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("version >&-", 0),
        ("jobs list --url {url} >&-", 0),
        ("watch job-1 --url {url} >&-", 0),
        ("jobs show job-2 --url {url} 2>&-", 1),
        ("submit a/b --input @- --url {url} <&-", 2),
        ("health --url http://127.0.0.1:9 >&- 2>&-", 2),
    ],
)
async def test_a_stream_that_is_closed_from_the_start_is_an_empty_one(
    node: Node, tmp_path: Path, line: str, code: int
) -> None:
    await node.post_webhook(node.fal.webhook("job-1"))
    said = await in_shell(tmp_path, line.format(url=node.url))
    assert (said.code, "Traceback" in said.err) == (code, False), said.err


@pytest.mark.parametrize("names", [["job-1"], ["job-1", "job-2"]])
async def test_what_fal_says_does_not_reach_the_terminal_as_control_characters(
    node: Node, tmp_path: Path, names: list[str]
) -> None:
    """It could move the cursor, rename the window, or look like further lines."""
    for name in names:
        await node.register(name, endpointId=ENDPOINT)
        refusal = httpx.Response(400, json={"detail": "no\x1b]0;pwned\x07\nhookcast: all is well\u202e"})
        node.fal.script(f"/requests/{name}/status", refusal)
    said = await hookcast(tmp_path, "jobs", "refresh", *names, "--url", node.url)
    assert said.code == 1
    assert said.err.count("\n") == len(names)
    assert not any(c in said.err for c in "\x1b\x07\u202e")
