"""What only a bucket has: links with a signature, uploads in parts, and ways to be wrong."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from hookcast.media.failures import StorageFailed
from hookcast.media.stopping import Stop
from hookcast.media.storage import buckets, objects, open_storage, uploading
from hookcast.media.storage.local import LocalStorage
from hookcast.media.storage.pending import wait_for_copy
from support.azurite import Container
from support.buckets import BUCKET, CREDENTIALS, Bucket, KeepingServer
from support.filehost import FileHost, Script, answer, running_host, says
from support.gcs import GoogleBucket
from support.kept import LARGE, SIZES, KeptInBucket, write

STRICT = ["s3rver", "gcs", "azurite"]  # moto asks for no credentials


def with_credentials(request: pytest.FixtureRequest) -> KeepingServer:
    """Return the server of the test's parameter, with its credentials in the environment."""
    bucket: KeepingServer = request.getfixturevalue(request.param)
    for name, value in bucket.credentials.items():
        request.getfixturevalue("monkeypatch").setenv(name, value)
    return bucket


@pytest.fixture(params=["moto", *STRICT])
def bucket(request: pytest.FixtureRequest) -> KeepingServer:
    """Return a bucket of each server."""
    return with_credentials(request)


@pytest.fixture(params=STRICT)
def strict(request: pytest.FixtureRequest) -> KeepingServer:
    """Return a bucket of each server that refuses strangers."""
    return with_credentials(request)


@pytest.fixture
def kept_in_bucket(bucket: KeepingServer) -> KeptInBucket:
    """Return an empty storage on each server."""
    return KeptInBucket(bucket)


def test_a_presigned_link_gives_the_file_with_its_type(kept_in_bucket: KeptInBucket) -> None:
    for key, content in (("a~20b/0-x.mp4", LARGE), ("a~2e/1-x.png", b"small")):
        write(kept_in_bucket.storage, key, content, content_type="image/png")
    keys = ["a~20b/0-x.mp4", "a~2e/1-x.png"]
    for link, content in zip(kept_in_bucket.storage.links(keys, 600), (LARGE, b"small"), strict=True):
        with urllib.request.urlopen(link, timeout=60) as found:  # noqa: S310 - a link of the test's own server
            assert found.read() == content
            assert found.headers["Content-Type"] == "image/png"
    assert kept_in_bucket.storage.links([], 600) == []


@pytest.mark.parametrize("bucket", ["azurite"], indirect=True)
def test_a_draft_in_azure_stays_until_its_copy_is_done(
    kept_in_bucket: KeptInBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def look(url: str) -> None:
        seen.append(len(kept_in_bucket.everything()))
        wait_for_copy(url)

    monkeypatch.setattr(objects, "wait_for_copy", look)
    write(kept_in_bucket.storage, "a/0-x.mp4", LARGE)
    assert seen == [2]
    assert kept_in_bucket.everything() == ["a/0-x.mp4"]


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
def test_a_bucket_that_does_not_exist_is_told(bucket: KeepingServer, size: str, told: bool) -> None:
    storage = open_storage(bucket.url("p", name="absent"), None)
    with pytest.raises(StorageFailed, match=r"NoSuchBucket|ContainerNotFound|not found"):
        write(storage, "a/0-x.mp4", SIZES[size], told=told)
    with pytest.raises(StorageFailed):
        storage.probe()


@pytest.mark.parametrize("size", SIZES)
def test_wrong_credentials_are_told(strict: KeepingServer, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    for name, value in strict.wrong_credentials.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(strict.url("p"), None)
    with pytest.raises(StorageFailed, match=strict.refusal):
        write(storage, "a/0-x.mp4", SIZES[size])
    with pytest.raises(StorageFailed, match=strict.refusal):
        storage.probe()


@pytest.mark.parametrize("bucket", ["gcs", "azurite"], indirect=True)
def test_a_link_that_was_changed_gives_nothing(kept_in_bucket: KeptInBucket) -> None:
    """Moto and s3rver do not look at the signatures of links."""
    storage = kept_in_bucket.storage
    for key in ("a/0-x.png", "a/1-x.png"):
        write(storage, key, b"small")
    [link] = storage.links(["a/0-x.png"], 600)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(link.replace("0-x.png", "1-x.png"), timeout=60)  # noqa: S310 - of the test's own server


def test_a_server_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(f"s3://{BUCKET}?endpoint=http://127.0.0.1:9", None)
    with pytest.raises(StorageFailed, match="bucket of kept files"):
        write(storage, "a/0-x.mp4", LARGE)


KINDS = {
    "s3": ("s3://media/p?endpoint={}", CREDENTIALS),
    "az": ("az://media/p?endpoint={}/devstoreaccount1", Container.credentials),
    "gs": ("gs://media/p?endpoint={}", {}),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", ["503 Service Unavailable", "429 Too Many Requests", "silence"])
def test_a_storage_in_trouble_is_given_up_for_now(
    gcs: GoogleBucket, monkeypatch: pytest.MonkeyPatch, kind: str, size: str, trouble: str
) -> None:
    monkeypatch.setattr(buckets, "_CLIENT", {**buckets._CLIENT, "timeout": "300ms"})
    monkeypatch.setattr(uploading, "SILENCE_SECONDS", 0.3)
    url, credentials = KINDS[kind]
    for name, value in (credentials or gcs.credentials).items():
        monkeypatch.setenv(name, value)
    with running_host() as host:
        host.otherwise = _silence(host) if trouble == "silence" else says(answer(b"", status=trouble))
        storage = open_storage(url.format(host.url), None)
        with pytest.raises(StorageFailed, match=r"timed out|error sending|503|429"):
            write(storage, "a/0-x.mp4", SIZES[size])
        with pytest.raises(StorageFailed):
            list(storage.files())


def _silence(host: FileHost) -> Script:
    def script(_: socket.socket) -> None:
        host.ended.wait(60)

    return script


def test_a_key_that_is_not_ours_has_no_path(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, "https://cdn.example.com")
    for key in ("../a", "a/../../b", "/etc/passwd", "a//b", "", ".", "a/.", "a\\b", "a\0b"):
        with pytest.raises(ValueError, match="not a key"):
            storage.path(key)
