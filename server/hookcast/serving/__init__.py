"""uvicorn's HTTP/1.1 with limits on what a client sends, WebSocket handshakes, and the hand-over to streams.

Everything that relies on uvicorn's internals is in `HttpProtocol`; selftest.py checks it at each start.
"""

from hookcast.serving.base import Config, Deadlines
from hookcast.serving.http import HttpProtocol
from hookcast.serving.idle import Idle

__all__ = ["Config", "Deadlines", "HttpProtocol", "Idle"]
