"""States as bytes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace
from websockets.frames import Opcode
from websockets.protocol import CLIENT, Protocol

from hookcast.jobs import EndedBy, JobStatus, MediaFile, MediaStatus
from hookcast.splicing import Spot
from hookcast.wire import encode, split_frames, websocket_close, websocket_frame, websocket_text
from support.push import job, state


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_of_any_length_is_read_by_an_independent_client(size: int) -> None:
    """The length is written as short as it can be (RFC 6455 section 5.2)."""
    frame = websocket_text(b"x" * size)
    client = Protocol(CLIENT)
    client.receive_data(frame)
    [event] = client.events_received()
    assert (event.opcode, event.fin, bytes(event.data)) == (Opcode.TEXT, True, b"x" * size)  # type: ignore[union-attr]
    assert len(frame) - size == (2 if size < 126 else 4 if size < 65_536 else 10)


@given(
    parts=st.lists(st.tuples(st.sampled_from([0x81, 0x88, 0x8A]), st.integers(0, 130) | st.integers(65_530, 65_540)))
)
def test_frames_in_a_row_come_apart_again(parts: list[tuple[int, int]]) -> None:
    """Opcode and payload of each."""
    data = b"".join(websocket_frame(first, b"y" * size) for first, size in parts)
    assert list(split_frames(data)) == [(first & 0x0F, b"y" * size) for first, size in parts]


def test_a_close_frame_carries_its_code_and_reason() -> None:
    """An independent client reads both."""
    client = Protocol(CLIENT)
    client.receive_data(websocket_close(4001, "slow"))
    assert client.close_rcvd is not None
    assert (client.close_rcvd.code, client.close_rcvd.reason) == (4001, "slow")


def test_the_frames_of_a_state_are_made_once_and_hold_the_same_json() -> None:
    """Whoever watches gets the very same bytes; what fal wrote stays digit for digit."""
    done = replace(job(version=7), status=JobStatus.COMPLETED)
    made = encode(replace(done, result=Raw(b'{"seed":\r\n 12345678901234567890}')))
    assert made.sse is made.sse
    assert made.websocket is made.websocket
    [(_, payload)] = split_frames(made.websocket)
    assert payload == b'{"type":"job","job":' + made.body + b"}"
    event, rest = made.sse.split(b"\n\n")
    assert rest == b""
    lines = event.split(b"\n")
    assert lines[:2] == [b"id: 7", b"event: job"]
    assert b"12345678901234567890" in lines[2]
    assert msgspec.json.decode(lines[2].removeprefix(b"data: ")) == msgspec.json.decode(made.body)


def test_the_members_of_a_state_are_those_of_the_protocol_page_in_its_order() -> None:
    """Clients and people read them so."""
    members = list(msgspec.json.decode(encode(job()).body))
    assert members == [
        "requestId",
        "status",
        "version",
        "endpointId",
        "progress",
        "result",
        "error",
        "errorDetail",
        "endedBy",
        "media",
        "owner",
        "group",
        "metadata",
        "retryOf",
        "createdAt",
        "updatedAt",
        "completedAt",
    ]


def test_a_state_knows_what_the_hub_asks_for() -> None:
    """Without its JSON being read again."""
    made = state("job-9", 3, ended=True, group="g")
    assert (made.request_id, made.version, made.terminal, made.group) == ("job-9", 3, True, "g")


FILE = MediaFile(source="https://v3.fal.media/a.mp4", spots=(Spot(7, 35),), content_type="video/mp4", bytes=12, size=99)
RESULT = Raw(b'{"url":"https://v3.fal.media/a.mp4"}')


def shown(status: JobStatus, file: MediaFile) -> dict[str, object]:
    """The JSON of a job with one file."""
    made = replace(job(), status=status, result=RESULT, ended_by=EndedBy.WEBHOOK, media=(file,))
    found: dict[str, object] = msgspec.json.decode(encode(made, lambda key: f"https://cdn.example/{key}").body)
    return found


def test_while_files_are_copied_the_job_shows_them_and_no_result() -> None:
    found = shown(JobStatus.PENDING, replace(FILE, status=MediaStatus.COPYING))
    assert (found["result"], found["endedBy"]) == (None, None)
    assert found["media"] == [
        {
            "source": "https://v3.fal.media/a.mp4",
            "url": None,
            "contentType": "video/mp4",
            "bytes": 12,
            "size": 99,
            "sha256": None,
            "status": "copying",
            "error": None,
        }
    ]


def test_a_completed_job_has_our_links_in_its_result() -> None:
    found = shown(JobStatus.COMPLETED, replace(FILE, status=MediaStatus.KEPT, key="job-1/0.mp4"))
    assert found["result"] == {"url": "https://cdn.example/job-1/0.mp4"}
    assert found["endedBy"] == "webhook"


def test_a_file_that_is_left_keeps_fals_link() -> None:
    found = shown(JobStatus.COMPLETED, replace(FILE, status=MediaStatus.LEFT, error="It is too big."))
    assert found["result"] == {"url": "https://v3.fal.media/a.mp4"}
