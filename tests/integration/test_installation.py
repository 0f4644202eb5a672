"""The command on packages that Hookcast cannot serve with: what serves refuses to start, the others work."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hookcast.cli.installation import REACHED_INTO, requirements
from support.commands import clean_environment, hookcast
from support.doctored import changed, other_version, without
from support.ports import quiet_port

pytestmark = pytest.mark.anyio
HTTP = "protocols/http/httptools_impl.py"
NEEDED = {name: f"'{name}{bounds}'" for name, bounds in requirements().items() if name in REACHED_INTO}
INSIDE = {
    "a method is renamed": ("uvicorn", HTTP, "def send_400_response", "def send_bad_request"),
    "the scope is not the application's": ("uvicorn", HTTP, "self.scope, self.receive", "{}, self.receive"),
    "a class is renamed": ("uvicorn", HTTP, "class HttpToolsProtocol", "class ToolsProtocol"),
    "frames are parsed otherwise": ("websockets", "protocol.py", "self.events.append(frame)", "pass"),
}


async def refusal(folder: Path, packages: Path, *arguments: str) -> str:
    """The one line with which the command refuses to start."""
    said = await hookcast(folder, *arguments, PYTHONPATH=str(packages))
    assert (said.code, said.out) == (2, ""), said
    assert len(said.err.splitlines()) == 1, said.err
    return said.err


@pytest.mark.parametrize("command", ["serve", "dev", "emulator"])
async def test_a_version_out_of_bounds_is_named_with_what_mends_it(tmp_path: Path, command: str) -> None:
    """What is installed, and what is needed."""
    packages = other_version(tmp_path / "packages", "uvicorn", "0.44.0")
    bounds = NEEDED["uvicorn"].strip("'")
    line = await refusal(tmp_path, packages, command)
    assert f"needs {bounds} (installed: 0.44.0). " in line
    assert line.endswith(f"or: pip install {NEEDED['uvicorn']}\n")


async def test_every_version_out_of_bounds_is_named(tmp_path: Path) -> None:
    """Not one after the other, start by start."""
    packages = other_version(tmp_path / "packages", "uvicorn", "99.0")
    line = await refusal(tmp_path, other_version(packages, "websockets", "14.2"), "serve")
    assert "(installed: 99.0) and websockets" in line
    assert line.endswith(f"or: pip install {NEEDED['uvicorn']} {NEEDED['websockets']}\n")


@pytest.mark.parametrize("change", INSIDE)
async def test_a_changed_inside_refuses_the_start(tmp_path: Path, change: str) -> None:
    """Although its version is within the bounds: a patch, or a release that should not have done so."""
    packages = changed(tmp_path / "packages", *INSIDE[change])
    line = await refusal(tmp_path, packages, "serve")
    assert "as they are installed here" in line
    assert line.endswith(f"or: pip install --force-reinstall {NEEDED['uvicorn']} {NEEDED['websockets']}\n")


async def test_commands_that_serve_nothing_work_all_the_same(tmp_path: Path) -> None:
    """They do not need what is broken."""
    packages = {"PYTHONPATH": str(without(tmp_path / "packages", "uvicorn", HTTP))}
    for command in ("version", "--help", "token --sub user-1"):
        said = await hookcast(tmp_path, *command.split(), HOOKCAST_TOKEN_SECRET="s" * 32, **packages)
        assert (said.code, said.err) == (0, ""), command
    job = ["submit", "fal-ai/flux", "--input", "{}", "--url", f"http://127.0.0.1:{quiet_port()}"]
    assert "No server answers" in (await hookcast(tmp_path, *job, **packages)).err


async def test_the_doctor_says_what_would_refuse_the_start(tmp_path: Path) -> None:
    """And goes on with what else there is to say."""
    packages = str(without(tmp_path / "packages", "uvicorn", HTTP))
    keys = f"http://127.0.0.1:{quiet_port()}"
    examined = await hookcast(tmp_path, "doctor", HOOKCAST_FAL_JWKS_URL=keys, PYTHONPATH=packages)
    assert (examined.code, examined.err) == (1, "")
    failed = [line for line in examined.out.splitlines() if line.startswith("fail packages")]
    assert len(failed) == 1
    assert "httptools_impl" in failed[0]
    assert "fail fal keys" in examined.out


def test_a_client_of_the_command_line_waits_for_no_part_of_the_server() -> None:
    """Their imports take longer than all the rest."""
    heavy = "{'sqlalchemy', 'starlette', 'uvicorn', 'websockets'}"
    code = f"import sys, hookcast.cli.commands; print(sorted({heavy} & {{*sys.modules}}))"
    said = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_a_server_loads_nothing_of_what_only_the_other_commands_use(tmp_path: Path) -> None:
    """Rich and pygments alone would be a tenth of its memory; libraries of its own would load them."""
    loaded = "[name for name, module in sys.modules.items() if module]"
    code = f"import atexit, sys; from hookcast.__main__ import main; atexit.register(lambda: print(*{loaded})); main()"
    environment = clean_environment({"HOOKCAST_FAL_JWKS_URL": f"http://127.0.0.1:{quiet_port()}"})
    command = [sys.executable, "-uc", code, "serve", "--port", str(quiet_port())]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            assert "listens on" in server.stdout.readline()
        finally:
            server.send_signal(signal.SIGTERM)
        modules = set(server.stdout.read().split())
    assert server.returncode == 0
    assert "hookcast.app" in modules
    assert not modules & {"rich", "pygments", "hookcast.client", "hookcast.emulator"}
