"""The command line as a user starts it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from support.commands import clean_environment
from support.dev import wait_for_database
from support.ports import quiet_port
from support.redis import Redis

COMMAND = [sys.executable, "-m", "hookcast"]
DEADLINE = 120.0
pytestmark = pytest.mark.anyio


@contextmanager
def _running(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    variables = {**os.environ, **environment}
    process = subprocess.Popen([*COMMAND, *arguments], cwd=folder, env=variables, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


def _wait_for_line(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"the process ended without saying {pattern}")


def test_dev_runs_a_job_to_its_end_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    """Submit, watch, poll against the emulator; an open stream does not hold the process up."""
    port = quiet_port()
    dev = ["dev", "--port", str(port), "--emulator-port", str(quiet_port()), "--speed", "20"]
    with (
        _running(tmp_path, *dev) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as web,
    ):
        _wait_for_line(process, "Ctrl-C")
        wait_for_database(str(web.base_url))
        endpoint = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
        taken = web.post("/api/fal-jobs", json={"endpointId": endpoint, "input": {"prompt": "a cat"}}).json()
        stream = web.get(taken["links"]["events"]).text
        assert stream.endswith("event: end\nid: end\ndata: {}\n\n")
        job = web.get(taken["links"]["status"]).json()
        assert (job["status"], job["owner"]) == ("completed", None)
        assert web.get(job["result"]["video"]["url"]).headers["content-type"] == "video/mp4"
        assert "Hookcast" in web.get("/").text
        with web.stream("GET", "/api/fal-jobs/unknown/events") as open_stream:
            next(open_stream.iter_text())
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=DEADLINE) == 0


def test_the_curl_walk_through_of_the_readme_works_as_written(tmp_path: Path) -> None:
    """Only the port is another one: the last line polled is the completed job."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    script = readme.split("## With curl")[1].split("```sh\n")[1].split("```")[0]
    port = str(quiet_port())
    dev = ["dev", "--port", port, "--emulator-port", str(quiet_port()), "--speed", "20"]
    with _running(tmp_path, *dev) as process:
        _wait_for_line(process, "Ctrl-C")
        wait_for_database(f"http://127.0.0.1:{port}")
        command = ["bash", "-euo", "pipefail", "-c", script.replace(":8000", f":{port}")]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout
        assert "event: end" in said
        assert '"status":"completed"' in said.splitlines()[-1]


def test_a_killed_server_answers_everything_it_had_acknowledged(tmp_path: Path) -> None:
    """`kill -9`, start again: every state is there."""
    port = quiet_port()
    for attempt in range(2):
        with (
            _running(tmp_path, "serve", "--port", str(port)) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as web,
        ):
            _wait_for_line(process, "listens on")
            wait_for_database(str(web.base_url))
            if attempt == 0:
                assert [web.put(f"/api/fal-jobs/job-{n}", json={}).status_code for n in range(20)] == [201] * 20
                process.send_signal(signal.SIGKILL)
            else:
                assert [web.get(f"/api/fal-jobs/job-{n}").status_code for n in range(20)] == [200] * 20


@pytest.mark.parametrize("line", ["", "jobs", "media"])
def test_without_arguments_a_command_shows_its_help(tmp_path: Path, line: str) -> None:
    command = [*COMMAND, *line.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert "Usage: " in done.stdout + done.stderr
    assert "hookcast:" not in done.stderr


def test_two_of_dev_run_side_by_side_when_each_has_a_port(tmp_path: Path) -> None:
    """The emulator of the second one finds a free port."""
    emulators = []
    with ExitStack() as stack:
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            process = stack.enter_context(_running(folder, "dev", "--port", str(quiet_port()), "--speed", "20"))
            emulators.append(_wait_for_line(process, "Emulator").split()[-1])
        assert len(set(emulators)) == 2
        for address in emulators:
            assert httpx.get(f"{address}/.well-known/jwks.json", timeout=DEADLINE).status_code == 200


def _said(folder: Path, *arguments: str, **environment: str) -> str:
    command, known = [*COMMAND, *arguments], clean_environment(environment)
    return subprocess.run(
        command, cwd=folder, env=known, capture_output=True, text=True, check=True, timeout=DEADLINE
    ).stdout


def test_a_migration_needs_no_keys(tmp_path: Path) -> None:
    """It listens to nobody, whatever address the server has in a container."""
    assert "up to date" in _said(tmp_path, "migrate", HOOKCAST_HOST="0.0.0.0")  # noqa: S104


def test_a_database_may_be_migrated_twice(tmp_path: Path) -> None:
    """The second time there is nothing to do; its file may be written anew."""
    for options in ((), (), ("--compact",)):
        assert "up to date" in _said(tmp_path, "migrate", *options)


def test_the_version_is_a_command_and_an_option(tmp_path: Path) -> None:
    assert _said(tmp_path, "version") == _said(tmp_path, "--version") == f"hookcast {version('hookcast')}\n"


def test_workers_share_a_port_and_are_started_again(tmp_path: Path, postgres_url: str, redis_server: Redis) -> None:
    """A state stored by one is told by all, their metrics are one; one that dies is replaced; SIGTERM ends them all."""
    port = quiet_port()
    variables = {"HOOKCAST_DATABASE_URL": postgres_url, "HOOKCAST_REDIS_URL": redis_server.url}
    with (
        _running(tmp_path, "serve", "--port", str(port), "--workers", "2", **variables) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as web,
    ):
        pids = [int(_wait_for_line(process, "Worker .* serves").split()[1]) for _ in range(2)]
        assert web.put("/api/fal-jobs/job-1", json={}).status_code == 201
        for _ in range(10):  # a connection each, so that both workers are asked
            assert httpx.get(f"http://127.0.0.1:{port}/api/fal-jobs/job-1", timeout=DEADLINE).status_code == 200
        for number in range(20):
            httpx.post(f"{web.base_url}/api/fal-jobs", json={"number": number}, timeout=DEADLINE)
        os.kill(pids[0], signal.SIGKILL)
        assert int(_wait_for_line(process, "Worker .* serves").split()[1]) not in pids
        for _ in range(10):
            assert 'hookcast_submits_total{answer="invalid_request"} 20.0' in httpx.get(f"{web.base_url}/metrics").text
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE) == 0


def test_workers_end_when_their_parent_is_killed(tmp_path: Path, postgres_url: str, redis_server: Redis) -> None:
    """They hold the port, and nobody would look after them."""
    port = quiet_port()
    variables = {"HOOKCAST_DATABASE_URL": postgres_url, "HOOKCAST_REDIS_URL": redis_server.url}
    with _running(tmp_path, "serve", "--port", str(port), "--workers", "2", **variables) as process:
        for _ in range(2):
            _wait_for_line(process, "Worker .* serves")
        process.kill()
        process.wait(timeout=DEADLINE)
        assert process.stdout is not None
        assert process.stdout.read() == ""  # it ends when the last of them has closed it
        with socket.create_server(("127.0.0.1", port)):
            pass
