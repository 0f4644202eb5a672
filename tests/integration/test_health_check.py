"""`hookcast health`, as a container's health check starts it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.access import API_KEY
from support.commands import Said, hookcast
from support.ports import quiet_port
from support.served import running_served
from support.server import Node

pytestmark = pytest.mark.anyio


def complained(said: Said, code: int) -> str:
    """The one line of a check that ended with this code."""
    assert (said.code, said.out, len(said.err.splitlines())) == (code, "", 1), said
    return said.err


def port_of(node: Node) -> str:
    """Where it listens."""
    return node.url.rpartition(":")[2]


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server on a port of loopback that sends these bytes to one connection, and keeps it open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []

        def serve() -> None:
            connection, _ = listener.accept()
            kept.append(connection)
            connection.recv(65536)
            connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield str(listener.getsockname()[1])
        thread.join()
        for connection in kept:
            connection.close()


async def test_a_server_that_answers_is_healthy(node: Node, tmp_path: Path) -> None:
    """At the port that the environment names; nothing is printed."""
    assert await hookcast(tmp_path, "health", HOOKCAST_PORT=port_of(node)) == Said(0, "", "")


async def test_options_win_over_the_environment(node: Node, tmp_path: Path) -> None:
    said = await hookcast(
        tmp_path, "health", "--host", "127.0.0.1", "--port", port_of(node), HOOKCAST_HOST="::1", HOOKCAST_PORT="1"
    )
    assert said.code == 0, said


async def test_the_port_is_read_from_the_env_file_too(node: Node, tmp_path: Path) -> None:
    """Where `hookcast serve` reads it."""
    (tmp_path / ".env").write_text(f"HOOKCAST_PORT={port_of(node)}\n")
    assert (await hookcast(tmp_path, "health")).code == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::1", "localhost"])  # noqa: S104
async def test_a_server_is_found_wherever_it_listens(tmp_path: Path, host: str) -> None:
    """Also where its address means every address of the machine, of IPv4 or of IPv6."""
    settings = {"host": host, "api_keys": API_KEY, "fal_jwks_url": f"http://127.0.0.1:{quiet_port()}"}
    async with running_served(tmp_path, settings, opened=False) as [served]:
        said = await hookcast(tmp_path, "health", HOOKCAST_HOST=host, HOOKCAST_PORT=str(served.port))
    assert said.code == 0, said


async def test_a_proxy_is_not_asked(node: Node, tmp_path: Path) -> None:
    """It could not reach this machine's loopback."""
    dead = f"http://127.0.0.1:{quiet_port()}"
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"), dead)
    said = await hookcast(tmp_path, "health", HOOKCAST_PORT=port_of(node), **proxies, no_proxy="")
    assert said.code == 0, said


async def test_other_settings_do_not_matter(node: Node, tmp_path: Path) -> None:
    """Wrong ones are `hookcast serve`'s to refuse."""
    wrong = {"HOOKCAST_DATABASE_URL": "nonsense", "HOOKCAST_TOKEN_ISSUER": "x", "HOOKCAST_URL": "ftp://x"}
    assert (await hookcast(tmp_path, "health", HOOKCAST_PORT=port_of(node), **wrong)).code == 0


async def test_where_nothing_listens_it_fails_with_one_line(tmp_path: Path) -> None:
    """Which says where it asked."""
    port = quiet_port()
    assert f"Port {port} of 127.0.0.1" in complained(await hookcast(tmp_path, "health", "--port", str(port)), 1)


async def test_a_server_that_hangs_fails_within_seconds(tmp_path: Path) -> None:
    """The system takes the connection, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        said = await hookcast(tmp_path, "health", "--port", str(listener.getsockname()[1]))
    assert "did not answer within 3 seconds" in complained(said, 1)


async def test_half_an_answer_is_not_waited_for(tmp_path: Path) -> None:
    """The deadline is for the whole."""
    with answering(b"HTTP/1.1 200") as port:
        said = await hookcast(tmp_path, "health", "--port", port)
    assert "did not answer within 3 seconds" in complained(said, 1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answered 503"), (b"220 mail.test ESMTP\r\n", "not answer in HTTP")],
    ids=["503", "no HTTP"],
)
async def test_another_answer_fails_and_is_told(tmp_path: Path, answer: bytes, words: str) -> None:
    with answering(answer) as port:
        said = await hookcast(tmp_path, "health", "--port", port)
    assert words in complained(said, 1)


async def test_a_wrong_port_is_wrong_input(tmp_path: Path) -> None:
    """One line that names the setting."""
    assert "HOOKCAST_PORT" in complained(await hookcast(tmp_path, "health", HOOKCAST_PORT="x"), 2)


async def test_help_lists_it_among_the_commands(tmp_path: Path) -> None:
    """It is started past the others, which must not hide it."""
    assert " health " in (await hookcast(tmp_path, "--help")).out
    assert "hookcast health [OPTIONS]" in (await hookcast(tmp_path, "health", "--help")).out


async def test_a_check_loads_nothing_of_the_server(node: Node, tmp_path: Path) -> None:
    """It runs every few seconds, and those imports would take a second of a processor each time."""
    said = await hookcast(tmp_path, "health", HOOKCAST_PORT=port_of(node), PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip() for line in said.err.splitlines()}
    assert "hookcast.settings" in loaded
    assert not loaded & {
        "hookcast.cli.commands",
        "hookcast.serving.server",
        "starlette",
        "uvicorn",
        "httpx",
        "jwt",
        "sqlalchemy",
        "redis",
    }
