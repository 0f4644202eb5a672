"""The self-test of the start: it passes here, and finds each change inside uvicorn and websockets that would matter."""

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from websockets.protocol import Protocol

from hookcast.serving import selftest
from hookcast.serving.selftest import Changed

pytestmark = pytest.mark.anyio
Change = Callable[[pytest.MonkeyPatch], None]


def _before(kind: type, name: str, act: Callable[[Any], object]) -> Change:
    """Let a method do something more at its beginning."""
    return _instead(kind, name, lambda real: lambda self, *given, **named: (act(self), real(self, *given, **named))[1])


def _after(kind: type, name: str, act: Callable[[Any], object]) -> Change:
    """Let a method do something more at its end."""
    return _instead(kind, name, lambda real: lambda self, *given, **named: (real(self, *given, **named), act(self))[0])


def _instead(kind: type, name: str, make: Callable[[Any], object]) -> Change:
    return lambda patch: patch.setattr(kind, name, make(getattr(kind, name)))


def _then(act: Callable[[Any], object]) -> Change:
    """Let a request's task do something more once the application has returned."""

    def make(real: Any) -> object:
        async def run_asgi(self: Any, app: Any) -> None:
            await real(self, app)
            act(self)

        return run_asgi

    return _instead(RequestResponseCycle, "run_asgi", make)


async def _wait_in_vain(_self: object, _app: object) -> None:
    await asyncio.Event().wait()


def _write_400(self: Any, data: bytes) -> None:
    try:
        self.parser.feed_data(data)
    except Exception:  # noqa: BLE001
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _ignore_upgrades(self: Any, data: bytes) -> None:
    try:
        self.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        self.send_400_response("")


CHANGES: dict[str, Change] = {
    "HttpToolsProtocol.send_400_response is gone": lambda patch: patch.delattr(HttpToolsProtocol, "send_400_response"),
    "HttpToolsProtocol.pause_writing is gone": lambda patch: patch.delattr(HttpToolsProtocol, "pause_writing"),
    "the connection of a request is not handed over": _before(
        RequestResponseCycle, "run_asgi", lambda cycle: setattr(cycle, "scope", {**cycle.scope, "extensions": {}})
    ),
    "a request is not answered": _before(
        RequestResponseCycle, "run_asgi", lambda cycle: cycle.transport.sent.extend(b"\r\n")
    ),
    "something is written after the connection was handed over": _then(
        lambda cycle: cycle.disconnected and cycle.transport.write(b"0\r\n")
    ),
    "the connection is closed after it was handed over": _then(
        lambda cycle: cycle.disconnected and cycle.transport.close()
    ),
    "a request that cannot be parsed is refused elsewhere": _instead(
        HttpToolsProtocol, "data_received", lambda _: _write_400
    ),
    "a request is never done": _instead(RequestResponseCycle, "run_asgi", lambda _: _wait_in_vain),
    "the connection of a WebSocket is not handed over": _instead(
        HttpToolsProtocol, "data_received", lambda _: _ignore_upgrades
    ),
    "frames are not parsed and answered as RFC 6455 says": _instead(
        Protocol, "recv_frame", lambda _: lambda _self, _frame: None
    ),
}


async def test_what_is_installed_passes() -> None:
    """Again and again: it leaves nothing behind."""
    for _ in range(3):
        await selftest.run()


@pytest.mark.parametrize("found", CHANGES)
async def test_a_change_inside_is_found(
    found: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    CHANGES[found](monkeypatch)
    with pytest.raises(Changed) as changed:
        await selftest.run()
    assert str(changed.value) == found
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("kind", "name"), [(HttpToolsProtocol, "connections"), (FlowControl, "write_paused")])
async def test_a_name_that_is_gone_is_what_python_says(
    kind: type, name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Raised where it is missed, not put into the log as an application's mistake."""
    _after(kind, "__init__", lambda self: delattr(self, name))(monkeypatch)
    with pytest.raises(AttributeError, match=name):
        await selftest.run()
    assert capfd.readouterr() == ("", "")
