"""Who watches which job, and how a new state reaches them."""

from hookcast.push.hub import Audience, Drained, Hub, Watch

__all__ = ["Audience", "Drained", "Hub", "Watch"]
