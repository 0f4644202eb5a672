"""Push: the streams, the jobs they watch, and the delivery of new states."""

from hookcast.push.admission import Admission, Limits
from hookcast.push.engine import Engine
from hookcast.push.hub import Hub
from hookcast.push.sse import SseStream
from hookcast.push.subscriptions import Joined, Subscriptions
from hookcast.push.topics import Names
from hookcast.push.watch import Drained, Watch
from hookcast.push.websocket import WebSocketStream

__all__ = [
    "Admission",
    "Drained",
    "Engine",
    "Hub",
    "Joined",
    "Limits",
    "Names",
    "SseStream",
    "Subscriptions",
    "Watch",
    "WebSocketStream",
]
