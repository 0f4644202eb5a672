"""The storage that HOOKCAST_MEDIA_URL names."""

from pathlib import Path

import pytest

from hookcast.media.failures import StorageFailed
from hookcast.media.storage import open_storage
from hookcast.media.storage.opening import Bucket, parse

WRONG_ENDPOINTS = (
    *("http://", "https://h:99999", "http://h:x", "http://my host", "http://[::1", "http://a..b", "http://u:p@h"),
    *("http://h/?a=b", "http://h\\x"),
)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every kind of bucket something to sign with."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("file:///var/lib/hookcast/my%20media", Path("/var/lib/hookcast/my media")),
        ("file://localhost/media", Path("/media")),
        ("s3://bucket", Bucket("s3", "bucket", None, {})),
        ("s3://My.Bucket_1/a/b/", Bucket("s3", "My.Bucket_1", "a/b", {})),
        (
            "s3://bucket/p?endpoint=https://x.r2.cloudflarestorage.com&region=auto&path_style=true",
            Bucket(
                "s3",
                "bucket",
                "p",
                {"endpoint": "https://x.r2.cloudflarestorage.com", "region": "auto", "path_style": "true"},
            ),
        ),
        ("gs://bucket/p", Bucket("gs", "bucket", "p", {})),
        ("az://$web/p?account=name", Bucket("az", "$web", "p", {"account": "name"})),
        ("az://container/p?account=name", Bucket("az", "container", "p", {"account": "name"})),
    ],
)
def test_a_url_names_a_directory_or_a_bucket(url: str, found: Path | Bucket) -> None:
    assert parse(url) == found


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("/var/lib/media", "must be file:///directory"),
        ("https://bucket.s3.amazonaws.com", "must be file:///directory"),
        ("file://media", "three slashes"),
        ("file:media", "three slashes"),
        ("file:///a%00b", "control characters"),
        ("file:///a\nb", "control characters"),
        ("file:///%2e", "absolute path"),
        ("file:///tmp/../..", "absolute path"),
        ("s3://", "s3://bucket/prefix"),
        ("s3:///prefix", "s3://bucket/prefix"),
        ("s3://key:secret@bucket/", "without user"),
        ("s3://bucket:9000/", "without user, port"),
        ("s3://bucket?regio=x", "unknown option 'regio'; s3:// takes endpoint, path_style, region"),
        ("s3://bucket?path_style=yes", "true or false"),
        ("s3://bucket?endpoint=localhost:9000", "https:// or http://"),
        *((f"s3://bucket?endpoint={url}", "https:// or http://") for url in WRONG_ENDPOINTS),
        ("s3://bucket?region=a%0a", "control characters"),
        ("gs://bucket?region=x", "unknown option 'region'"),
        *((f"s3://{name}/p", "letters, digits") for name in ("my bucket", "my%20bucket", "b<x>", "bücket", "a,b")),
    ],
)
def test_a_url_that_names_neither_is_told_what_to_be(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse(url)


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("s3://bucket/p?region=eu-west-1", "https://s3.eu-west-1.amazonaws.com/bucket/p/a/0-x.png?X-Amz-"),
        ("s3://bucket?region=eu-west-1&path_style=false", "https://bucket.s3.eu-west-1.amazonaws.com/a/0-x.png?X-Amz-"),
        ("s3://bucket?endpoint=https://s3.example.com", "https://s3.example.com/bucket/a/0-x.png?X-Amz-"),
        (
            "s3://bucket/p?endpoint=https://fra1.example.com&path_style=false",
            "https://bucket.fra1.example.com/p/a/0-x.png?X-Amz-",
        ),
        ("az://container/p?account=name", "https://name.blob.core.windows.net/container/p/a/0-x.png?s"),
    ],
)
def test_without_a_public_address_links_of_buckets_are_presigned(url: str, start: str) -> None:
    [link] = open_storage(url, None).links(["a/0-x.png"], 3600)
    assert link.startswith(start)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("s3://bucket", "AWS_ACCESS_KEY_ID"),
        ("s3://bucket", "AWS_SESSION_TOKEN"),
        ("s3://bucket", "AWS_REGION"),
        ("gs://bucket", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://container?account=name", "AZURE_STORAGE_ACCOUNT_NAME"),
        ("az://container?account=name", "AZURE_STORAGE_ACCOUNT_KEY"),
    ],
)
def test_a_line_s_end_in_a_variable_is_told(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of secrets have one, and object_store panics over it."""
    monkeypatch.setenv(name, "key\n")
    with pytest.raises(ValueError, match=f"needs {name} without"):
        open_storage(url, None)


def test_a_panic_is_a_failure_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As pyo3 raises it."""

    def panic(*_: object) -> None:
        raise PanicException("called `Result::unwrap()` on an `Err` value")

    storage = open_storage("s3://bucket?endpoint=http://127.0.0.1:9&region=x", None)
    monkeypatch.setattr("obstore.delete", panic)
    with pytest.raises(StorageFailed, match="failed to remove files: called"):
        storage.remove(["a/0-x.png"])


@pytest.mark.parametrize("url", ["file:///media", "s3://bucket/p"])
def test_links_begin_with_the_public_address(url: str) -> None:
    storage = open_storage(url, "https://cdn.example.com/x/")
    assert storage.links(["a~2e/0-x.png"], 60) == ["https://cdn.example.com/x/a~2e/0-x.png"]


def test_without_a_public_address_links_of_a_directory_are_the_server_s_own() -> None:
    assert open_storage("file:///media", None).links(["a/0-x.png"], 60) == ["/media/a/0-x.png"]


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("s3://b", "AWS_ENDPOINT_URL", "garbage"),
        ("s3://b", "AWS_ENDPOINT", "http://[::1"),
        ("s3://b", "AWS_METADATA_ENDPOINT", "garbage"),
        ("s3://b", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "garbage"),
        ("s3://b", "AWS_REGION", "a b"),
        ("s3://b", "AWS_SESSION_TOKEN", "a\nb"),
        ("gs://b", "GOOGLE_BASE_URL", "garbage"),
        ("az://c?account=a", "AZURE_STORAGE_TOKEN", "a\nb"),
        ("az://c?account=a", "AZURE_STORAGE_TENANT_ID", "é /"),
        ("az://c?account=a", "IDENTITY_ENDPOINT", "garbage"),
        ("az://c?account=a", "AZURE_MSI_ENDPOINT", "garbage"),
    ],
)
def test_a_variable_over_which_the_library_panics_is_named(
    url: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its value; a panic prints itself, and cannot be kept from that."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"^needs {name} ") as raised:
        open_storage(url, None)
    assert value not in str(raised.value)


@pytest.mark.parametrize("url", ["s3://b", "gs://b", "az://c?account=a"])
def test_variables_of_another_cloud_do_not_matter(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"s3": "IDENTITY_ENDPOINT", "gs": "AWS_ENDPOINT_URL", "az": "GOOGLE_BASE_URL"}
    monkeypatch.setenv(given[url[:2]], "garbage")
    open_storage(url, None)


@pytest.mark.parametrize(
    "url",
    [
        "s3://b?region=a%20b",
        "s3://b?region=%25zz",
        "s3://b?region=é",
        "s3://b?endpoint=http://faß.de",
        "s3://b..c?endpoint=http://s3.example&path_style=false",
        f"s3://{'a' * 64}?endpoint=http://s3.example&path_style=false",
    ],
)
def test_an_option_over_which_the_library_panics_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^has the option (region|endpoint), "):
        open_storage(url, None)
