"""`hookcast doctor` tries the storage of kept files, and says what to do about the usual mistakes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from hookcast.cli.doctor_media import cure, look
from hookcast.cli.findings import Finding
from hookcast.settings import Settings
from support.commands import hookcast
from support.ports import quiet_port

pytestmark = pytest.mark.anyio
REFUSAL = '<?xml version="1.0"?><Error><Code>{}</Code><Message>Refused.</Message></Error>'


@contextmanager
def refusing(status: int, code: str) -> Iterator[str]:
    """Run a server that refuses every request in S3's words; give its URL."""

    class Refusal(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = REFUSAL.format(code).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of a bucket; no `.env`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-0")
    monkeypatch.chdir(tmp_path)


async def finding(url: str) -> Finding:
    """What is found with this HOOKCAST_MEDIA_URL."""
    [found] = await look(Settings(media_url=SecretStr(url)))
    return found


async def test_a_directory_that_works_is_ok_and_keeps_nothing_of_the_visit(tmp_path: Path) -> None:
    assert (await finding(f"file://{tmp_path}/media")).level == "ok"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_without_a_storage_there_is_nothing_to_check() -> None:
    [found] = await look(Settings())
    assert (found.level, "HOOKCAST_MEDIA_URL" in found.text) == ("ok", True)


async def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "media").touch()
    found = await finding(f"file://{tmp_path}/media")
    assert (found.level, found.exit_code) == ("fail", 1)
    assert (
        f"file://{tmp_path}/media: The directory of kept files failed to begin a file: Not a directory." in found.text
    )
    assert "Name a directory" in found.text


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "NoSuchBucket", "the bucket's name"),
        (403, "InvalidAccessKeyId", "does not know these credentials"),
        (403, "SignatureDoesNotMatch", "does not know these credentials"),
        (403, "AccessDenied", "get, put, delete and list"),
        (301, "PermanentRedirect", "the bucket's own region"),
        (400, "AuthorizationHeaderMalformed", "the bucket's own region"),
        (403, "RequestTimeTooSkewed", "clock"),
    ],
)
async def test_what_a_bucket_refuses_is_told_with_what_to_do(status: int, code: str, words: str) -> None:
    with refusing(status, code) as endpoint:
        found = await finding(f"s3://bucket/prefix?endpoint={endpoint}&region=us-east-1")
    assert found.level == "fail"
    assert f"s3://bucket/prefix: The bucket of kept files answered {status} ({code})" in found.text
    assert words in found.text
    assert "secret-0" not in found.text


async def test_an_endpoint_that_does_not_answer_is_told() -> None:
    found = await finding(f"s3://bucket?endpoint=http://127.0.0.1:{quiet_port()}&region=us-east-1")
    assert (found.level, "Check the endpoint" in found.text) == ("fail", True)


@pytest.mark.parametrize(
    ("url", "word"), [("s3://bucket?regoin=us-east-1", "unknown option 'regoin'"), ("az://container", "Account")]
)
async def test_an_address_with_which_the_server_does_not_start_is_told_with_its_exit_code(url: str, word: str) -> None:
    found = await finding(url)
    assert (found.level, found.exit_code, word in found.text) == ("fail", 2, True)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Error performing PUT http://169.254.169.254/latest/api/token in 1.2ms", "AWS_ACCESS_KEY_ID"),
        ("Error performing token request: Error performing GET http://metadata/computeMetadata", "AWS_ACCESS_KEY_ID"),
        ("failed to remove files: The operation lacked the necessary privileges", "get, put, delete and list"),
        ("Received redirect without LOCATION, this normally indicates an incorrectly configured region", "region"),
        ("HTTP error: error sending request", "Check the endpoint"),
        ("failed to take a file: Permission denied.", "Let the server's user write there"),
        ("failed to take a file: Read-only file system.", "a volume"),
        ("failed to take a file: No space left on device.", "Make room"),
        ("failed to remove files: called `Result::unwrap()` on an `Err` value: InvalidHeaderValue", "a line's end"),
        ("something new", "docs/media.md"),
    ],
)
def test_each_usual_mistake_has_its_cure(reason: str, words: str) -> None:
    assert words in cure(reason)


async def test_the_command_reads_the_credentials_of_a_bucket_from_the_file_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with refusing(404, "NoSuchBucket") as endpoint:
        (tmp_path / ".env").write_text(
            f"HOOKCAST_MEDIA_URL=s3://bucket?endpoint={endpoint}\nAWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=secret-0\n"
        )
        said = await hookcast(tmp_path, "doctor", HOOKCAST_DATABASE_URL="sqlite:///x.db")
    [line] = [line for line in said.out.splitlines() if line.split()[1] == "media"]
    assert "NoSuchBucket" in line
    assert said.code == 1
