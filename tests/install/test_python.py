"""The wheel, installed by the tools that people use."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from support.clients import DEADLINE
from support.dev import Dev, launched, opened, running_dev
from support.published import UVX, VERSION, WHEEL, find_pythons

pytestmark = pytest.mark.timeout(400)  # what they download and install, on a busy machine
PYTHONS = find_pythons()


def _run(folder: Path, *command: object) -> str:
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


def _plays_a_video(dev: Dev) -> None:
    with httpx.Client(base_url=dev.address, timeout=DEADLINE) as web:
        assert "<title>Hookcast" in web.get("/").text
        wish = {"endpointId": "fal-ai/wan-t2v", "input": {"prompt": "a cat"}}
        links = web.post("/api/fal-jobs", json=wish).json()["links"]
        assert web.get(links["events"]).text.endswith("event: end\nid: end\ndata: {}\n\n")
        video = web.get(web.get(links["status"]).json()["result"]["video"]["url"])
        assert (video.status_code, video.headers["content-type"]) == (200, "video/mp4")


def test_this_machine_has_a_python_to_test_with() -> None:
    """The one that runs the tests, at least."""
    assert PYTHONS


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_pip_installs_a_server_that_plays_a_video(python: str, tmp_path: Path) -> None:
    """With the pip that Python brings, into an empty environment; Ctrl-C ends the server."""
    bin_folder = tmp_path / "environment/bin"
    _run(tmp_path, python, "-m", "venv", bin_folder.parent)
    _run(tmp_path, bin_folder / "python", "-m", "pip", "install", "--quiet", WHEEL)
    assert _run(tmp_path, bin_folder / "hookcast", "--version") == f"hookcast {VERSION}\n"
    with running_dev(Dev(tmp_path, "10", command=[bin_folder / "hookcast"])) as dev:
        _plays_a_video(dev)


@pytest.mark.usefixtures("home")
def test_uvx_runs_a_server_whose_page_plays_a_video(tmp_path: Path) -> None:
    """Without any installation, on a machine that has nothing but uv."""
    command = [UVX, "--from", WHEEL, "hookcast"]
    assert _run(tmp_path, *command, "--version") == f"hookcast {VERSION}\n"
    with (
        running_dev(Dev(tmp_path, "10", command=command)) as dev,
        launched() as browser,
        opened(dev, browser, reduced_motion="no-preference") as page,
    ):
        page.get_by_test_id("generate").click()
        page.wait_for_function("() => { const v = document.querySelector('video'); return v && v.currentTime > 0.1; }")
        expect(page.get_by_test_id("job")).to_have_attribute("data-status", "completed")


def test_pipx_installs_the_command(home: Path, tmp_path: Path) -> None:
    """Where it looks for commands, in the home folder."""
    _run(tmp_path, sys.executable, "-m", "pipx", "install", WHEEL)
    assert _run(tmp_path, home / ".local/bin/hookcast", "--version") == f"hookcast {VERSION}\n"
