"""What only a bucket has: links with a signature, uploads in parts, and ways to be wrong."""

import urllib.request
from pathlib import Path

import pytest

from hookcast.media.failures import StorageFailed
from hookcast.media.stopping import Stop
from hookcast.media.storage import open_storage
from hookcast.media.storage.local import LocalStorage
from support.buckets import BUCKET, CREDENTIALS, Bucket
from support.kept import LARGE, SIZES, KeptInBucket, write


@pytest.fixture(params=["moto", "s3rver"])
def kept_in_bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> KeptInBucket:
    """Return an empty bucket of each server."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return KeptInBucket(request.getfixturevalue(request.param))


def test_a_presigned_link_gives_the_file_with_its_type(kept_in_bucket: KeptInBucket) -> None:
    for key, content in (("a b/0-x.mp4", LARGE), ("a~2e/1-x.png", b"small")):
        write(kept_in_bucket.storage, key, content, content_type="image/png")
    keys = ["a b/0-x.mp4", "a~2e/1-x.png"]
    for link, content in zip(kept_in_bucket.storage.links(keys, 600), (LARGE, b"small"), strict=True):
        with urllib.request.urlopen(link, timeout=60) as found:  # noqa: S310 - a link of the test's own server
            assert found.read() == content
            assert found.headers["Content-Type"] == "image/png"
    assert kept_in_bucket.storage.links([], 600) == []


def test_no_multipart_upload_is_ever_open(moto: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(moto.url("p"), None)
    for told in (True, False):
        draft = storage.begin("a", len(LARGE) if told else None, "video/mp4", Stop())
        draft.write(memoryview(LARGE)[:-1])
        assert "Uploads" not in moto.client.list_multipart_uploads(Bucket=BUCKET)
        draft.discard()
        write(storage, "a/0-x.mp4", LARGE, told=told)
        assert "-" not in moto.client.head_object(Bucket=BUCKET, Key="p/a/0-x.mp4")["ETag"]
    assert "Uploads" not in moto.client.list_multipart_uploads(Bucket=BUCKET)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_a_bucket_that_does_not_exist_is_told(
    moto: Bucket, monkeypatch: pytest.MonkeyPatch, size: str, told: bool
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(moto.url("p").replace(BUCKET, "absent"), None)
    with pytest.raises(StorageFailed, match=r"NoSuchBucket|not found"):
        write(storage, "a/0-x.mp4", SIZES[size], told=told)
    with pytest.raises(StorageFailed):
        storage.probe()


def test_a_server_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(f"s3://{BUCKET}?endpoint=http://127.0.0.1:9", None)
    with pytest.raises(StorageFailed, match="bucket of kept files"):
        write(storage, "a/0-x.mp4", LARGE)


def test_a_key_that_is_not_ours_has_no_path(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, "https://cdn.example.com")
    for key in ("../a", "a/../../b", "/etc/passwd", "a//b", "", ".", "a/.", "a\\b", "a\0b"):
        with pytest.raises(ValueError, match="not a key"):
            storage.path(key)
