"""Close codes of `hookcast.v1` (RFC 6455 section 7.4): 4000 to 4499 reconnect, 4500 to 4999 do not without a change."""

from enum import Enum

from hookcast.wire import websocket_close


class Close(Enum):
    """A code and its reason. Each one says when the server sends it."""

    UNUSED = (1000, "unused")
    """The connection never subscribed to anything."""
    MESSAGE_TOO_BIG = (1009, "message too big")
    """A message is longer than 64 KiB."""
    INTERNAL_ERROR = (1011, "internal error")
    """A fault of the server; the log has its traceback."""
    RESTART = (1012, "restart")
    """The server drains, or cannot answer now. A `reconnect` message says when to come back."""
    SLOW = (4001, "slow")
    """The client did not keep up within the limit."""
    ROTATE = (4002, "rotate")
    """The stream's lifetime is over."""
    UNAUTHORIZED = (4501, "unauthorized")
    """No token came, or one that does not count."""
    TOKEN_EXPIRED = (4502, "token expired")
    """The token expired and was not renewed."""
    BAD_MESSAGE = (4503, "bad message")
    """A message is not as documented."""
    TOO_MANY = (4504, "too many")
    """Too many names: in one message, on one connection, or in too short a time."""

    @property
    def frame(self) -> bytes:
        """The close frame."""
        return websocket_close(*self.value)
