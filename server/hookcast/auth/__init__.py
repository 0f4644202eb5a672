"""Authentication and authorization."""

from hookcast.auth.caller import EVERYBODY, NOBODY, Action, Caller
from hookcast.auth.gate import Gate
from hookcast.auth.provider import Provider
from hookcast.auth.tokens import Grant, mint

__all__ = ["EVERYBODY", "NOBODY", "Action", "Caller", "Gate", "Grant", "Provider", "mint"]
