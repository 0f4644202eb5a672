"""uvicorn's HTTP/1.1 and WebSocket protocols, with limits on what a client sends, and the hand-over to streams.

Everything that relies on uvicorn's internals is in the two protocol classes here; selftest.py checks it at each start.
"""

from hookcast.serving.base import Config, Deadlines
from hookcast.serving.http import HttpProtocol
from hookcast.serving.idle import Idle
from hookcast.serving.websocket import WebSocketProtocol

__all__ = ["Config", "Deadlines", "HttpProtocol", "Idle", "WebSocketProtocol"]
