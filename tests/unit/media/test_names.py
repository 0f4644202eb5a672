"""Names in the storage are ours."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.jobs import valid_request_id
from hookcast.media.storage import folder_of, is_key, key_of

ids = st.text(min_size=1, max_size=200).filter(valid_request_id)


@given(ids)
def test_a_folder_is_one_plain_name(request_id: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_~-]{1,120}", folder_of(request_id))
    assert folder_of(request_id) != "incoming"


@given(st.sets(ids | st.sampled_from(["incoming", "a/b", "~2f", "a.", "A", "a" * 120, "a" * 121]), max_size=20))
def test_different_jobs_have_different_folders(request_ids: set[str]) -> None:
    assert len({folder_of(request_id) for request_id in request_ids}) == len(request_ids)


@given(ids, st.integers(0, 499), st.sampled_from(["png", "safetensors", "7z", "json"]))
def test_our_own_names_are_known(request_id: str, position: int, extension: str) -> None:
    assert is_key(key_of(request_id, position, "0123456789abcdef0123", extension))


@pytest.mark.parametrize(
    "name", ["beach.jpg", "a/b/0-0123456789abcdef.png", "incoming/job.0f", "a/0-xyz.png", "a/cat.png"]
)
def test_other_names_are_not_ours(name: str) -> None:
    assert not is_key(name)


def test_a_key_names_job_position_and_content() -> None:
    assert key_of("019f6af7-a1", 3, "0123456789abcdef0123", "mp4") == "019f6af7-a1/3-0123456789abcdef.mp4"
    assert key_of("a b.c/é", 0, "ff", "bin") == "a~20b~2ec~2f~c3~a9/0-ff.bin"
