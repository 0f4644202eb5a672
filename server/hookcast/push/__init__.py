"""Who watches which job, and how a new state reaches them."""

from hookcast.push.admission import Admission, Limits
from hookcast.push.engine import Engine
from hookcast.push.events import EventStream
from hookcast.push.hub import Hub, Names
from hookcast.push.resync import Resync
from hookcast.push.socket import Socket
from hookcast.push.subscriptions import Joined, Subscriptions
from hookcast.push.watch import Drained, Watch

__all__ = [
    "Admission",
    "Drained",
    "Engine",
    "EventStream",
    "Hub",
    "Joined",
    "Limits",
    "Names",
    "Resync",
    "Socket",
    "Subscriptions",
    "Watch",
]
