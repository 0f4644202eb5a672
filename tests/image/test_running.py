"""The image runs, as its configuration says: on a read-only root, as its own user, with a volume at /data."""

import io
import re
import signal
import tarfile
from pathlib import Path

import pytest

from support.access import API_KEY, SECRET
from support.image import Image
from support.imageroom import IDLE, PORT, Room, room

pytestmark = pytest.mark.timeout(900)  # the first one waits for the build

KEY = API_KEY
KEYS = {"HOOKCAST_API_KEYS": KEY, "HOOKCAST_TOKEN_SECRET": SECRET}
EMULATOR = "http://127.0.0.1:8001"
WITH_EMULATOR = {
    "FAL_KEY": "emulator",
    "HOOKCAST_FAL_QUEUE_URL": EMULATOR,
    "HOOKCAST_FAL_JWKS_URL": f"{EMULATOR}/.well-known/jwks.json",
    "HOOKCAST_PUBLIC_URL": f"http://127.0.0.1:{PORT}",
}


def complaints(server: Room) -> list[str]:
    """What its log tells of trouble. Each line is JSON."""
    return [line for line in server.log.read_text().splitlines() if not re.search(r'"level":"(info|warning)"', line)]


def test_it_is_alive_at_the_documented_port(image: Image, tmp_path: Path) -> None:
    """With keys and nothing else."""
    with room(image, tmp_path, word="listens on http://0.0.0.0:8000", **KEYS) as server:
        assert server.ask("GET", "/healthz").json["status"] == "ok"


def test_the_page_and_the_browser_library_are_in_it(image: Image, tmp_path: Path) -> None:
    """The page with its assets, the library as a script and as a package."""
    with room(image, tmp_path, word="listens", **KEYS) as server:
        page = server.ask("GET", "/").body.decode()
        assets = re.findall(r'(?:src|href)="(/[^"]+)"', page)
        assert len(assets) >= 2
        assert [server.ask("GET", path).status for path in (*assets, "/hookcast.js")] == [200] * (len(assets) + 1)
        package = io.BytesIO(server.ask("GET", "/hookcast.tgz").body)
    with tarfile.open(fileobj=package) as files:
        assert "package/dist/index.js" in files.getnames()


def test_a_job_goes_from_submit_to_its_end(image: Image, tmp_path: Path) -> None:
    """With the emulated fal, which is in the image, too."""
    with (
        room(image, tmp_path, word="listens", **KEYS, **WITH_EMULATOR) as server,
        server.beside("hookcast", "emulator", "--speed", "20", word="listens"),
    ):
        wish = {"endpointId": "fal-ai/flux/dev", "input": {"prompt": "a cat"}}
        submitted = server.ask("POST", "/api/fal-jobs", wish, key=KEY)
        assert submitted.status == 202, submitted.body
        job = submitted.json["job"]
        while job["status"] == "pending":
            path = f"/api/fal-jobs/{job['requestId']}?wait=20&version={job['version']}"
            job = server.ask("GET", path, key=KEY).json
        assert job["status"] == "completed", job


def test_its_health_check_says_that_it_is_alive(image: Image, tmp_path: Path) -> None:
    with room(image, tmp_path, word="listens", **KEYS) as server:
        checked = server.check()
        assert (checked.returncode, checked.stderr) == (0, "")


def test_its_health_check_says_that_it_hangs(image: Image, tmp_path: Path) -> None:
    """Exit code 1, and one line for the engine's log."""
    with room(image, tmp_path, word="listens", **KEYS) as server:
        server.send(signal.SIGSTOP)
        checked = server.check()
        assert (checked.returncode, len(checked.stderr.splitlines())) == (1, 1), checked


def test_its_health_check_says_that_nothing_serves(image: Image, tmp_path: Path) -> None:
    """Exit code 1, and one line for the engine's log."""
    with room(image, tmp_path, command=IDLE, word="idle", **KEYS) as container:
        checked = container.check()
        assert (checked.returncode, len(checked.stderr.splitlines())) == (1, 1), checked


def test_server_and_health_check_follow_another_port(image: Image, tmp_path: Path) -> None:
    """HOOKCAST_PORT is all that it takes."""
    with room(image, tmp_path, word="listens on http://0.0.0.0:9000", HOOKCAST_PORT="9000", **KEYS) as server:
        assert server.ask("GET", "/healthz", port=9000).status == 200
        assert server.check().returncode == 0


def test_without_keys_it_does_not_start(image: Image, tmp_path: Path) -> None:
    """Exit code 2 and one line: it listens on every address."""
    with room(image, tmp_path) as container:
        assert container.end() == 2
        [line] = container.log.read_text().splitlines()
        assert "HOOKCAST_API_KEYS" in line


def test_jobs_survive_a_restart(image: Image, tmp_path: Path) -> None:
    """They lie in the volume."""
    with room(image, tmp_path, word="listens", **KEYS) as server:
        assert server.ask("PUT", "/api/fal-jobs/job-0", {"owner": "ada"}, key=KEY).status == 201
        assert server.stop() == 0
    with room(image, tmp_path, word="listens", **KEYS) as server:
        assert server.ask("GET", "/api/fal-jobs/job-0", key=KEY).json["requestId"] == "job-0"


def test_stopping_it_tells_open_streams_to_come_back(image: Image, tmp_path: Path) -> None:
    """As process 1, which ignores signals by default; it ends in order before an engine would kill it."""
    with room(image, tmp_path, word="listens", **KEYS) as server:
        server.ask("PUT", "/api/fal-jobs/job-0", {}, key=KEY)
        with server.connect() as connection, connection.makefile("rb") as stream:
            head = f"GET /api/fal-jobs/job-0/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
            connection.sendall(head.encode())
            seen = b""
            while b'"requestId":"job-0"' not in seen:
                seen += stream.readline()
            assert server.stop() == 0
            rest = stream.read()
    assert b"retry:" in rest


def test_it_writes_to_its_volume_only(image: Image, tmp_path: Path) -> None:
    """Its root is read-only and it is nobody there, and its log knows of no trouble with that."""
    with room(image, tmp_path, word="listens", **KEYS) as server:
        server.ask("PUT", "/api/fal-jobs/job-0", {}, key=KEY)
        mounts = server.run("cat", "/proc/self/mounts").stdout.splitlines()
        status = server.run("cat", "/proc/1/status").stdout
        assert server.stop() == 0
    assert [line.split()[3].split(",")[0] for line in mounts if line.split()[1] == "/"] == ["ro"]
    assert re.findall(r"^(?:Uid|Gid):\t(.*)$", status, re.MULTILINE) == ["\t".join(["10001"] * 4)] * 2
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["hookcast.db"]
    assert complaints(server) == []
