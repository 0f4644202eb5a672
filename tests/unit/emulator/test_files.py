"""What may stand under `_emulator.files`, and what a result says about it."""

import base64
import json
from typing import Any

import pytest

from hookcast.emulator.content import KINDS, usual_size
from hookcast.emulator.faults import InputRefused, read_input
from hookcast.emulator.files import MAX_DATA_BYTES, MAX_FILES, FileFault, FileWish
from hookcast.emulator.hosted import file_content, named_files
from unit.emulator.making import make_job

IMAGES = "fal-ai/flux/dev"


def _read(*files: object) -> tuple[FileWish, ...]:
    return read_input(json.dumps({"_emulator": {"files": files}}).encode()).wishes.files


def _refusal(*files: object) -> dict[str, Any]:
    with pytest.raises(InputRefused) as caught:
        _read(*files)
    return dict(caught.value.detail[0])


def _named(*files: FileWish, endpoint_id: str = IMAGES) -> dict[str, Any]:
    return named_files(make_job(files=files, endpoint_id=endpoint_id))


def test_options_of_files_are_read() -> None:
    assert _read({"bytes": 500_000_000, "fault": "cut", "times": 1}, {}) == (
        FileWish(size=500_000_000, fault="cut", times=1),
        FileWish(),
    )


@pytest.mark.parametrize(
    "file",
    [
        {"bytes": -1},
        {"bytes": 2**41},
        {"size": 1},
        {"bytes_per_second": 0},
        {"fault": "cut", "times": 0},
        {"fault": "expires", "seconds": -1},
        {"url": "http://127.0.0.1/ a"},
        {"url": "http://127.0.0.1/\r\nA: b"},
        "cut",
    ],
)
def test_malformed_file_is_refused(file: object) -> None:
    assert _refusal(file)["loc"] == ["body", "_emulator"]


def test_unknown_fault_is_refused_with_all_names() -> None:
    refusal = _refusal({}, {"fault": "cutt"})
    assert refusal["loc"] == ["body", "_emulator", "files", 1, "fault"]
    assert all(name in refusal["msg"] for name in FileFault)


def test_unknown_content_type_is_refused_with_all_names() -> None:
    refusal = _refusal({"content_type": "video/quicktime"})
    assert refusal["loc"] == ["body", "_emulator", "files", 0, "content_type"]
    assert all(name in refusal["msg"] for name in KINDS)


@pytest.mark.parametrize(
    ("option", "file"),
    [
        ("data_uri", {"data_uri": True, "fault": "cut"}),
        ("data_uri", {"data_uri": True, "bytes_per_second": 1}),
        ("url", {"url": "https://example.com/a.png", "fault": "cut"}),
        ("times", {"times": 1}),
        ("at", {"at": 0}),
        ("at", {"at": 5, "fault": "redirect"}),
        ("seconds", {"seconds": 5, "fault": "cut"}),
    ],
)
def test_option_that_would_have_no_effect_is_refused(option: str, file: object) -> None:
    assert _refusal(file)["loc"][-1] == option


def test_too_many_files_are_refused() -> None:
    assert len(_read(*[{}] * MAX_FILES)) == MAX_FILES
    assert _refusal(*[{}] * (MAX_FILES + 1))["loc"] == ["body", "_emulator"]


def test_data_uris_that_no_webhook_could_carry_are_refused() -> None:
    half = {"data_uri": True, "bytes": MAX_DATA_BYTES // 2}
    assert len(_read(half, half)) == 2
    assert _refusal(half, half, {"data_uri": True, "bytes": 1})["loc"] == ["body", "_emulator", "files", 2, "bytes"]


def test_file_is_what_the_endpoint_makes() -> None:
    assert list(_named(FileWish())) == ["images"]
    assert list(_named(FileWish(), endpoint_id="fal-ai/veo3")) == ["video"]


def test_files_stand_under_fals_keys() -> None:
    """An image in a list, other kinds alone or in a list of several."""
    types = ["image/png", "video/mp4", "audio/wav", "audio/mpeg", "model/gltf-binary", "application/zip", "text/plain"]
    named = _named(*(FileWish(content_type=name) for name in types))
    told = {
        key: [file["content_type"] for file in files] if isinstance(files, list) else files["content_type"]
        for key, files in named.items()
    }
    assert told == {
        "images": ["image/png"],
        "video": "video/mp4",
        "audios": ["audio/wav", "audio/mpeg"],
        "model_mesh": "model/gltf-binary",
        "files": ["application/zip", "text/plain"],
    }


def test_file_has_fals_four_fields() -> None:
    job = make_job(files=[FileWish(), FileWish(size=7, content_type="audio/wav")])
    assert named_files(job)["audio"] == {
        "url": f"http://127.0.0.1:8787/media/{job.request_id}/1/output.wav",
        "content_type": "audio/wav",
        "file_name": "output.wav",
        "file_size": 7,
    }


def test_data_uri_holds_the_bytes_of_the_file() -> None:
    job = make_job(files=[FileWish(data_uri=True, size=4_500_000)], endpoint_id=IMAGES)
    images: Any = named_files(job)["images"]
    head, _, data = images[0]["url"].partition(",")
    content = file_content(job.request_id, 0, content_type="image/png", size=4_500_000)
    assert head == "data:image/png;base64"
    assert len(data) == 6_000_000
    assert base64.b64decode(data) == b"".join(content.pieces())


def test_url_of_another_host_is_told_as_it_is() -> None:
    assert _named(FileWish(url="http://169.254.169.254/latest"))["images"][0]["url"] == "http://169.254.169.254/latest"


def test_file_without_a_size_is_as_big_as_the_sample() -> None:
    assert _named(FileWish())["images"][0]["file_size"] == usual_size("image/png")
