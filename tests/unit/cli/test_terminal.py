"""What a terminal shows of a job."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console, ConsoleRenderable, Group
from rich.spinner import Spinner

from hookcast.cli.terminal import (
    JobDisplay,
    connection,
    copied_bytes,
    duration,
    media,
    outcome,
    pending,
    plain,
    size_words,
    title,
)
from hookcast.client import Job, Notice, Transport
from hookcast.client.model import decode_job

NOW = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)


def job(seconds: float = 0.0, **facts: Any) -> Job:
    """One that was created so many seconds ago."""
    base = {"requestId": "job-1", "status": "pending", "version": 1, "endpointId": "fal-ai/flux/dev"}
    created = (NOW - timedelta(seconds=seconds)).isoformat()
    return decode_job(json.dumps({**base, "createdAt": created, "updatedAt": NOW.isoformat(), **facts}).encode())


def drawn(*parts: ConsoleRenderable, width: int = 80) -> str:
    """As text, without colours."""
    console = Console(file=io.StringIO(), width=width, record=True, force_terminal=True, _environ={})
    console.print(Group(*parts))
    return console.export_text()


def on_the_way(seconds: float = 0.0, width: int = 80, **progress: Any) -> str:
    """A pending job."""
    return drawn(pending(job(seconds, progress=progress), Spinner("dots"), now=NOW), width=width)


def test_a_queued_job_shows_its_position_its_time_and_the_usual_time() -> None:
    """And a bar of the part that is over."""
    seen = on_the_way(20.0, phase="queued", queuePosition=3, expectedSeconds=40.0)
    assert "In the queue, position 3" in seen
    assert "20.0 s of about 40 s" in seen
    assert "━" * 16 in seen


def test_a_running_job_shows_its_last_log_line() -> None:
    """Only that one, cut to one line."""
    seen = on_the_way(125.0, phase="running", logs=[{"message": "first"}, {"message": "last " * 40}])
    assert "Running" in seen
    assert "2:05" in seen
    assert "first" not in seen
    assert len([line for line in seen.splitlines() if "last" in line]) == 1


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    """Down to a narrow one."""
    seen = on_the_way(20.0, width, phase="running", expectedSeconds=140.0, logs=[{"message": "x" * 300}])
    assert max(map(len, seen.splitlines())) <= width


def test_what_others_wrote_cannot_move_the_cursor() -> None:
    """Log lines, errors, names and addresses with control or formatting characters."""
    evil = "a\x1b[2J\x1b]0;title\x07\r\n\u202e\x9bb"
    seen = on_the_way(phase=evil, logs=[{"message": evil}])
    ended = job(status="failed", error=evil, endpointId=evil, result={evil: f"https://x/{evil}"})
    seen += drawn(title(ended, evil), outcome(ended), *connection(Notice(Transport.SSE, evil)))
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(seen)
    assert plain(evil).startswith("a\N{REPLACEMENT CHARACTER}[2J")


FILE = {"source": "https://fal.media/a.mp4", "status": "copying", "bytes": 0, "size": None}


def copying(*files: dict[str, Any], width: int = 80) -> str:
    """A job whose files are copied."""
    facts = job(12.0, progress={"phase": "saving"}, media=[{**FILE, **file} for file in files])
    return drawn(pending(facts, Spinner("dots"), now=NOW), width=width)


def test_files_that_are_copied_show_how_many_are_kept_and_a_bar_of_bytes() -> None:
    seen = copying({"status": "kept", "bytes": 3_000_000, "size": 3_000_000}, {"bytes": 1_000_000, "size": 5_000_000})
    assert "Copying the files, 1 of 2" in seen
    assert "4.0 MB, 12.0 s" in seen
    assert "━" * 16 in seen


def test_a_file_that_is_tried_again_shows_why() -> None:
    """In one line, of the terminal's width."""
    seen = copying({"status": "waiting", "error": "The host answered 503.\x1b[2J" + "x" * 200}, width=40)
    assert "The host answered 503." in seen
    assert max(map(len, seen.splitlines())) <= 40


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ([{}], (0, None)),
        ([{"bytes": 5, "size": 20}], (5, 20)),
        ([{"bytes": 5, "size": 20}, {}], (5, 40)),
        ([{"bytes": 5, "size": 20}, {"status": "left", "size": 7}], (5, 20)),
    ],
)
def test_a_file_of_unknown_size_counts_as_the_others_and_one_that_is_left_does_not(
    files: list[dict[str, Any]], share: tuple[float, float | None]
) -> None:
    assert copied_bytes(job(media=[{**FILE, **file} for file in files]).media) == share


def test_sizes_are_short() -> None:
    sizes = (0, 999, 1000, 9_940, 9_960, 999_600, 2_147_483_648, 5 * 10**15)
    words = ["0 bytes", "999 bytes", "1.0 kB", "9.9 kB", "10 kB", "1.0 MB", "2.1 GB", "5000 TB"]
    assert list(map(size_words, sizes)) == words


def test_kept_files_are_shown_at_the_server_and_those_that_are_left_with_the_reason() -> None:
    """A link to a kept file may be a path."""
    media = [
        {**FILE, "status": "kept", "url": "/media/job-1/0.mp4"},
        {**FILE, "status": "left", "source": "https://x/b.mp4", "error": "It is too big."},
    ]
    result = {"videos": [{"url": "/media/job-1/0.mp4"}, {"url": "https://x/b.mp4"}], "path": "/media/other"}
    done = job(status="completed", completedAt=NOW.isoformat(), result=result, media=media)
    seen = drawn(outcome(done, "https://hooks.example"))
    assert "videos[0]  https://hooks.example/media/job-1/0.mp4" in seen
    assert "videos[1]  https://x/b.mp4" in seen
    assert "/media/other" not in seen
    assert "not kept: https://x/b.mp4 (It is too big)" in seen


def test_a_completed_job_shows_where_its_media_are() -> None:
    """By the place in the result where they stand; many are counted."""
    result = {
        "images": [{"url": "https://x/0.png"}, {"url": "http://x/1.png"}],
        "video": {"url": "https://x/v.mp4"},
        "seed": 1,
    }
    assert list(media(result)) == [
        ("images[0]", "https://x/0.png"),
        ("images[1]", "http://x/1.png"),
        ("video", "https://x/v.mp4"),
    ]
    seen = drawn(outcome(job(8.1, status="completed", completedAt=NOW.isoformat(), result=result)))
    assert "✓ Completed in 8.1 s" in seen
    assert "images[1]  http://x/1.png" in seen
    many = drawn(outcome(job(status="completed", result=["https://x/"] * 30)))
    assert "… and 10 more" in many


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_without_result_shows_why(status: str) -> None:
    seen = drawn(outcome(job(3.0, status=status, completedAt=NOW.isoformat(), error="prompt: Field required")))
    assert f"{status.capitalize()} after 3.0 s" in seen
    assert "prompt: Field required" in seen


def test_trouble_and_other_transports_are_told() -> None:
    """A stream that works is not worth a word."""
    assert drawn(*connection(Notice(Transport.SSE))).strip() == ""
    assert "the stream broke; trying again" in drawn(*connection(Notice(Transport.SSE, "the stream broke", 1.0)))
    assert "polling every 3 s" in drawn(*connection(Notice(Transport.POLL)))


def test_a_clock_that_is_behind_the_servers_shows_no_negative_time() -> None:
    assert "0.0 s" in on_the_way(-30.0, phase="running")


def test_durations_are_short() -> None:
    assert [duration(seconds) for seconds in (8.06, 59.9, 125, 3725)] == ["8.1 s", "59.9 s", "2:05", "1:02:05"]


def test_the_display_leaves_only_the_end_on_the_screen() -> None:
    console = Console(file=io.StringIO(), width=80, record=True, force_terminal=False, _environ={})
    with JobDisplay(console, "job-1"):
        pass
    with JobDisplay(console, "job-1") as display:
        display.notify(Notice(Transport.SSE))
        display.show(job(progress={"phase": "running"}))
        display.show(job(3.0, status="completed", completedAt=NOW.isoformat(), result={}))
    assert "Completed in 3.0 s" in console.export_text()
