"""`hookcast submit` and `hookcast watch` as a user runs them, against a real server."""

import asyncio
import json
import re
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from support.commands import COMMAND, hookcast, on_screen
from support.fal import ENDPOINT
from support.server import Node, until
from support.stand import problem, standing

pytestmark = pytest.mark.anyio
KLING = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"


def wish(*faults: str, speed: float = 10) -> str:
    """The model's input."""
    return json.dumps({"prompt": "a cat", "_emulator": {"faults": faults, "speed": speed}})


@pytest.mark.parametrize(("fault", "code", "status"), [(None, 0, "completed"), ("model_error", 1, "failed")])
async def test_piped_a_watch_prints_each_state_as_a_line_of_json(
    tmp_path: Path, whole: Node, fault: str | None, code: int, status: str
) -> None:
    """So that it can go into jq; the exit code tells how the job ended."""
    faults = [fault] if fault else []
    said = await hookcast(tmp_path, "submit", KLING, "--input", wish(*faults), "--watch", "--url", whole.url)
    assert (said.code, said.err) == (code, "")
    states = [json.loads(line) for line in said.out.splitlines()]
    assert [state["version"] for state in states] == sorted({state["version"] for state in states})
    assert [state["status"] for state in states if state["status"] != "pending"] == [status]
    polled = await whole.client.get(f"/api/fal-jobs/{states[-1]['requestId']}")
    assert states[-1] == polled.json()


async def test_submit_says_which_job_it_is_and_watch_finds_it(tmp_path: Path, whole: Node) -> None:
    """Input, metadata and options may come from files or standard input; all facts arrive."""
    (tmp_path / "meta.json").write_text('{"nodeId": 7}')
    facts = ["--owner", "o", "--group", "g", "--metadata", "@meta.json", "--options", '{"priority": "low"}']
    line = ["submit", KLING, "--input", "@-", *facts, "--idempotency-key", "k"]
    first = await hookcast(tmp_path, *line, given=wish(), HOOKCAST_URL=whole.url)
    again = await hookcast(tmp_path, *line, given=wish(), HOOKCAST_URL=whole.url)
    job, same = (json.loads(said.out) for said in (first, again))
    assert (job["owner"], job["group"], job["metadata"]) == ("o", "g", {"nodeId": 7})
    assert job["requestId"] == same["requestId"]
    watched = await hookcast(tmp_path, "watch", job["requestId"], HOOKCAST_PORT=whole.url.rpartition(":")[2])
    assert (watched.code, json.loads(watched.out.splitlines()[-1])["status"]) == (0, "completed")


async def test_a_submit_in_the_dark_says_how_to_submit_once_more(tmp_path: Path, node: Node) -> None:
    """And does so; another input is a mistake of the user's."""
    taken = httpx.Response(200, json={"request_id": "job-1"})
    node.fal.script(ENDPOINT, httpx.ReadError("cut"), taken)
    line = ["submit", ENDPOINT, "--url", node.url]
    first = await hookcast(tmp_path, *line, "--input", "{}")
    key = first.err.rpartition("--idempotency-key ")[2].strip(")\n")
    line += ["--idempotency-key", key]
    dark = await hookcast(tmp_path, *line, "--input", "{}")
    assert (first.code, dark.code, f"--idempotency-key {key} --retry" in dark.err) == (1, 1, True)
    other = await hookcast(tmp_path, *line, "--input", '{"a": 1}')
    assert (other.code, "another body" in other.err) == (2, True)
    again = await hookcast(tmp_path, *line, "--input", "{}", "--retry")
    assert (again.code, json.loads(again.out)["requestId"]) == (0, "job-1")


async def test_a_terminal_shows_the_job_until_its_end_and_then_where_the_media_are(tmp_path: Path, whole: Node) -> None:
    """Queue position, phase, log line, bar and time on the way; nothing of that stays."""
    screen = await on_screen(tmp_path, "submit", KLING, "--input", wish(speed=0.8), "--watch", "--url", whole.url)
    try:
        assert await screen.code() == 0
    finally:
        await screen.close()
    for part in (KLING, "In the queue, position", "Running", "━━━━━━━━", "Completed in", "/media/video.mp4"):
        assert part in screen.text
    assert screen.raw.endswith(b"\r\n")
    assert screen.raw.rindex(b"\x1b[?25h") > screen.raw.rindex(b"\x1b[?25l")  # the cursor is back


SLOW_FILE = {"bytes": 2_200_000, "bytes_per_second": 300_000}
FILES = json.dumps({"prompt": "a cat", "_emulator": {"files": [SLOW_FILE, {"fault": "web_page"}]}})


async def test_a_terminal_shows_the_files_while_they_are_copied_and_where_they_are_kept(
    tmp_path: Path, keeping: Node
) -> None:
    """The file that is left where it is, too."""
    screen = await on_screen(tmp_path, "submit", KLING, "--input", FILES, "--watch", "--url", keeping.url)
    try:
        assert await screen.code() == 0
    finally:
        await screen.close()
    for part in ("Copying the files, 0 of 2", f"videos[0]  {keeping.url}/media/", "not kept: http://"):
        assert part in screen.text
    assert re.search(r"\d [kM]B, ", screen.text)  # how many so far, and at what pace


async def test_piped_a_watch_prints_the_files_in_each_state(tmp_path: Path, keeping: Node) -> None:
    said = await hookcast(tmp_path, "submit", KLING, "--input", FILES, "--watch", "--url", keeping.url)
    states = [json.loads(line) for line in said.out.splitlines()]
    assert any(file["bytes"] for state in states if state["status"] == "pending" for file in state["media"])
    assert [file["status"] for file in states[-1]["media"]] == ["kept", "left"]


async def test_ctrl_c_leaves_with_130_and_says_how_to_go_on(tmp_path: Path, node: Node) -> None:
    """The job goes on; no traceback, and the stream is gone."""
    await node.register("job-1", endpointId=ENDPOINT)
    screen = await on_screen(tmp_path, "watch", "job-1", "--url", node.url)
    try:
        await until(lambda: node.engine.admission.streams and "In the queue" in screen.text)
        screen.type(b"\x03")
        assert await screen.code() == 130
    finally:
        await screen.close()
    assert "hookcast watch job-1" in screen.text
    assert "Traceback" not in screen.text
    await until(lambda: not node.engine.admission.streams)


async def test_an_interrupted_pipe_ends_with_130_and_without_a_word(tmp_path: Path, node: Node) -> None:
    await node.register("job-1")
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "watch", "job-1", "--url", node.url),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    first = await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, json.loads(first)["version"], out, err) == (130, 1, b"", b"")


async def test_a_reader_that_has_seen_enough_ends_the_watch_quietly(tmp_path: Path, whole: Node) -> None:
    line = f"submit {KLING} --input '{wish()}' --watch --url {whole.url}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f'"$0" -m hookcast {line} | head -1; echo "${{PIPESTATUS[0]}}"', sys.executable),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    first, code = out.decode().splitlines()
    assert (json.loads(first)["version"], code, err) == (1, "141", b"")


async def test_a_job_that_is_not_known_yet_is_waited_for_and_said_so(tmp_path: Path, node: Node) -> None:
    """A misspelt name is seen at once; patience can be bounded."""
    said = await hookcast(tmp_path, "watch", "job-0", "--url", node.url, "--timeout", "3")
    assert (said.code, said.out) == (1, "")
    assert "job-0" in said.err
    assert "it continues" in said.err
    watching = asyncio.ensure_future(hookcast(tmp_path, "watch", "job-1", "--url", node.url))
    await until(lambda: node.engine.admission.streams)
    await node.post_webhook(node.fal.webhook("job-1"))
    said = await watching
    assert (said.code, json.loads(said.out)["status"]) == (0, "completed")


async def test_a_server_that_is_not_there_is_told_with_the_command_that_starts_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for line in (["watch", "job-1"], ["submit", ENDPOINT, "--input", "{}"]):
        said = await hookcast(tmp_path, *line, "--url", url)
        assert (said.code, said.out, len(said.err.splitlines())) == (1, "", 1)
        assert "hookcast serve" in said.err
        assert url in said.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["submit", ENDPOINT, "--input", "{"], "--input is not JSON"),
        (["submit", ENDPOINT, "--input", "[1]"], "JSON object"),
        (["submit", ENDPOINT, "--input", "@nowhere.json"], "nowhere.json"),
        (["submit", ENDPOINT, "--input", "{}", "--metadata", "7"], "--metadata"),
        (["submit", "nonsense", "--input", "{}"], "endpointId"),
        (["watch", "job-1", "--url", "ftp://x"], "http://"),
        (["watch", ".."], "requestId"),
        (["watch", b"\xff"], "requestId"),
        (["watch", "a" * 70_000], "requestId"),
        (["submit", b"a/\xff", "--input", "{}"], "Unicode"),
        (["submit", ENDPOINT, "--input", "{}", "--idempotency-key", "ключ"], "ASCII"),
        (["watch", "job-1", "--url", "http://ä..b"], "HOOKCAST_URL"),
        (["watch", "job-1", "--url", "http://user:secret@h"], "not contain a user name or password"),
    ],
    ids=lambda value: str(value[-1])[:20] if isinstance(value, list) else None,
)
async def test_wrong_usage_is_one_line_and_exit_code_2(
    tmp_path: Path, node: Node, arguments: list[str | bytes], word: str
) -> None:
    """Whoever finds it, the command or the server."""
    said = await hookcast(tmp_path, *arguments, HOOKCAST_URL=node.url)
    assert (said.code, said.out, len(said.err.splitlines())) == (2, "", 1), said
    assert word in said.err


async def test_a_token_goes_into_the_header_and_nowhere_else(tmp_path: Path) -> None:
    """Refused, it is not shown, and the line says where to put another one."""
    async with standing(problem(401, "token_expired")) as stand:
        for given in ({"HOOKCAST_TOKEN": "secret-0"}, {}):
            more = [] if given else ["--token", "secret-0"]
            said = await hookcast(tmp_path, "watch", "job-1", "--url", stand.url, *more, **given)
            assert (said.code, len(said.err.splitlines())) == (1, 1)
            assert "HOOKCAST_TOKEN" in said.err
            assert "secret-0" not in said.err + said.out
        assert stand.tokens == ["Bearer secret-0"] * 2


async def test_settings_that_are_no_text_are_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"HOOKCAST_TOKEN=\xff\n")
    said = await hookcast(tmp_path, "watch", "job-1")
    assert (said.code, len(said.err.splitlines())) == (2, 1)
    assert ".env" in said.err


async def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, node: Node) -> None:
    """The disk behind a pipe may be full."""
    await node.post_webhook(node.fal.webhook("job-1"))
    line = f'"$0" -m hookcast watch job-1 --url {node.url} > /dev/full'
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", line, sys.executable), cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert err.decode() == "hookcast: The output cannot be written: No space left on device.\n"
    assert process.returncode == 1


async def test_a_server_that_never_answers_is_not_waited_for_longer_than_was_asked(tmp_path: Path) -> None:
    """Not its first answer either, which may take 30 s else."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said = await hookcast(tmp_path, "watch", "job-1", "--url", url, "--timeout", "0.3")
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert "0.3 s" in said.err
