"""The npm package that the server offers, installed as our pages say."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from support.clients import DEADLINE
from support.commands import COMMAND
from support.dev import Dev, launched, running_dev
from support.ports import quiet_port
from support.published import NPM_PACKAGE
from support.readmes import ROOT, shell_blocks
from support.registry import running_registry

pytestmark = pytest.mark.timeout(400)  # what npm downloads and Next.js compiles, on a busy machine
USE = """
import { createHookcast } from "hookcast";
const client = createHookcast({ url: process.argv[1] });
const { job } = await client.submit({ endpointId: "fal-ai/wan-t2v", input: { prompt: "a cat" } });
for await (const { result } of client.updates(job.requestId)) if (result) console.log(result.video.url);
client.close();
"""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """A running `hookcast dev`, from the checkout."""
    with running_dev(Dev(tmp_path_factory.mktemp("dev"), "10", command=COMMAND)) as dev:
        yield dev


@pytest.fixture
def project(home: Path) -> Path:
    """An empty folder of a user's, whose npm has never downloaded anything."""
    folder = home / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def example(home: Path, dev: Dev) -> Path:
    """`examples/nextjs` of a fresh clone, which asks our server."""
    listed = subprocess.run(
        ["git", "ls-files", "examples/nextjs"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, home / name)
    settings = home / "examples/nextjs/.env.example"
    settings.write_text(_with_port(settings.read_text(), dev))
    return settings.parent


def _with_port(words: str, dev: Dev) -> str:
    """What a page says of port 8000, said of the port that our server has."""
    assert ":8000" in words
    return words.replace("http://127.0.0.1:8000", dev.address.rstrip("/"))


def _type(folder: Path, words: str, registry: str = "http://127.0.0.1:9") -> None:
    """Into a shell; by default no registry can be reached."""
    offline = {"npm_config_registry": registry, "npm_config_fetch_retries": "0"}
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", words], cwd=folder, env={**os.environ, **offline}, timeout=120, check=True
    )


def _gets_a_video(project: Path, dev: Dev) -> bool:
    command = ["node", "--input-type=module", "--eval", USE, dev.address]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode == 0, done
    return done.stdout.endswith(".mp4\n")


def test_npm_installs_the_package_by_its_address_without_any_registry(project: Path, dev: Dev) -> None:
    """Offline, and before anything is published."""
    _type(project, f"npm install {dev.address}hookcast.tgz")
    assert _gets_a_video(project, dev)


def test_the_packages_page_installs_it_from_the_server(project: Path, dev: Dev) -> None:
    _, from_server = shell_blocks("web/README.md", "# hookcast")
    _type(project, _with_port(from_server, dev))
    assert _gets_a_video(project, dev)


def test_the_installed_package_has_the_documents_for_coding_assistants(project: Path, dev: Dev) -> None:
    """`llms.txt`, and every file that it links to."""
    _type(project, f"npm install {dev.address}hookcast.tgz")
    package = project / "node_modules/hookcast"
    links = re.findall(r"\]\((?!https:)([^)#]+)", (package / "llms.txt").read_text())
    assert {"README.md", "dist/docs/protocol.md", "dist/docs/access.md"} <= set(links)
    assert [link for link in links if not (package / link).is_file()] == []


def test_the_packages_page_installs_it_from_npm(project: Path, dev: Dev) -> None:
    """Word by word, from a registry that it was published to."""
    from_npm, _ = shell_blocks("web/README.md", "# hookcast")
    with running_registry(NPM_PACKAGE.read_bytes()) as registry:
        _type(project, from_npm, registry)
    assert _gets_a_video(project, dev)


@contextmanager
def _typed(folder: Path, words: str, until: str, **environment: str) -> Iterator[None]:
    """Commands of which the last one goes on, until it says so."""
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", words],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert any(until in line for line in process.stdout), words
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=DEADLINE)


def test_the_example_runs_as_its_page_says(example: Path, dev: Dev) -> None:
    """From a fresh clone to a video in the browser; only the ports are other ones."""
    run, _ = shell_blocks("examples/nextjs/README.md", "## Run it")
    port = str(quiet_port())
    settings = {"PORT": port, "NEXT_TELEMETRY_DISABLED": "1"}
    with _typed(example, _with_port(run, dev), "Ready", **settings), launched() as browser:
        page = browser.new_page()
        page.set_default_timeout(4 * DEADLINE * 1000)  # it is compiled when it is asked for
        page.goto(f"http://localhost:{port}")
        page.get_by_label("What should it show?").fill("a lighthouse")
        page.get_by_role("button", name="Generate").click()
        expect(page.get_by_role("article")).to_have_attribute("data-status", "completed", timeout=4 * DEADLINE * 1000)
        page.wait_for_function("() => document.querySelector('video').duration > 0")


def test_hookcast_with_keys_starts_as_the_examples_page_says(tmp_path: Path) -> None:
    """It takes the key that the page names, and pages of the example's origin."""
    _, with_keys = shell_blocks("examples/nextjs/README.md", "## Run it")
    port = str(quiet_port())
    words = with_keys.replace("hookcast dev", f"hookcast dev --emulator-port {quiet_port()}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with _typed(tmp_path, words, "Ctrl-C", PATH=path, HOOKCAST_PORT=port):
        origin = {"Origin": "http://localhost:3000"}
        jobs = f"http://127.0.0.1:{port}/api/fal-jobs"
        assert httpx.get(jobs, headers=origin).status_code == 401
        answer = httpx.get(jobs, headers={**origin, "Authorization": "Bearer dev-key"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin["Origin"])
