"""The bytes of generated files."""

import hashlib
import io
import json

import pytest

from hookcast.emulator.content import IMAGE, KINDS, MEDIA_FOLDER, PIECE_BYTES, VIDEO, Content, usual_size

BIG = 3 * PIECE_BYTES + 12_345


def _bytes(content: Content, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(content.pieces(start, stop))


@pytest.mark.parametrize("content_type", KINDS)
@pytest.mark.parametrize("size", [0, 1, 20, 100_000, BIG])
def test_file_has_its_size(content_type: str, size: int) -> None:
    assert len(_bytes(Content(content_type, size, "a"))) == size


@pytest.mark.parametrize("content_type", [VIDEO, "application/pdf", "application/json"])
def test_any_part_is_that_part_of_the_whole(content_type: str) -> None:
    content = Content(content_type, BIG, "a")
    whole = _bytes(content)
    edges = [0, 3, 70_000, PIECE_BYTES, PIECE_BYTES + 9, BIG - 3, BIG, BIG + 5]
    for start in edges:
        for stop in edges:
            assert _bytes(content, start, stop) == whole[start:stop]


def test_no_piece_is_longer_than_a_piece() -> None:
    assert max(len(piece) for piece in Content(VIDEO, BIG, "a").pieces()) == PIECE_BYTES


def test_every_piece_differs_from_every_other() -> None:
    """A piece that is lost, doubled or in another file's place changes the hash."""
    pieces = [
        piece for seed in ("a", "b") for piece in Content("application/octet-stream", 4 * PIECE_BYTES, seed).pieces()
    ]
    assert len({bytes(piece) for piece in pieces}) == 8


def test_hash_is_that_of_the_bytes() -> None:
    content = Content("audio/mpeg", BIG, "a")
    assert content.sha256() == hashlib.sha256(_bytes(content)).hexdigest()


def test_files_of_no_size_are_the_samples() -> None:
    assert _bytes(Content(IMAGE, usual_size(IMAGE), "a")) == (MEDIA_FOLDER / "image.png").read_bytes()
    assert _bytes(Content(VIDEO, usual_size(VIDEO), "a")) == (MEDIA_FOLDER / "video.mp4").read_bytes()


def test_big_video_is_the_sample_and_a_box_that_players_skip() -> None:
    """The boxes of an MP4 are its whole length, so it plays."""
    video = io.BytesIO(_bytes(Content(VIDEO, BIG, "a")))
    boxes = []
    while head := video.read(8):
        length, name = int.from_bytes(head[:4]), head[4:]
        inside = int.from_bytes(video.read(8)) - 16 if length == 1 else length - 8
        assert len(video.read(inside)) == inside
        boxes.append(name)
    assert boxes[-1] == b"free"
    assert {b"ftyp", b"moov", b"mdat"} <= set(boxes)


def test_generated_json_is_json() -> None:
    assert len(json.loads(_bytes(Content("application/json", BIG, "a")))["text"]) == BIG - 11


@pytest.mark.parametrize("content_type", [name for name, kind in KINDS.items() if kind.text])
def test_text_is_ascii(content_type: str) -> None:
    assert _bytes(Content(content_type, BIG, "a")).isascii()
