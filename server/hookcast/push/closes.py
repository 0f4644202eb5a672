"""Close codes of `hookcast.v1` (RFC 6455 section 7.4).

On 4000 to 4499 the client reconnects, on 4500 to 4999 only after a change.
"""

from enum import Enum

from hookcast.wire import websocket_close


class Close(Enum):
    """A close code and its reason; each member documents when the server sends it."""

    UNUSED = (1000, "unused")
    """The connection never subscribed."""
    MESSAGE_TOO_BIG = (1009, "message too big")
    """A client message exceeds 64 KiB."""
    INTERNAL_ERROR = (1011, "internal error")
    """A server error; the log has the traceback."""
    RESTART = (1012, "restart")
    """The server drains or is temporarily unavailable. A preceding `reconnect` message carries the delay."""
    SLOW = (4001, "slow")
    """A slow reader: the client did not keep up within the limits."""
    ROTATE = (4002, "rotate")
    """The stream reached the end of its lifetime."""
    UNAUTHORIZED = (4501, "unauthorized")
    """No token was sent, or an invalid one."""
    TOKEN_EXPIRED = (4502, "token expired")
    """The token expired without being renewed."""
    BAD_MESSAGE = (4503, "bad message")
    """A client message violates the protocol."""
    TOO_MANY = (4504, "too many")
    """Too many names: in one message, on one connection, or over the rate limit."""

    @property
    def frame(self) -> bytes:
        """The encoded close frame."""
        return websocket_close(*self.value)
