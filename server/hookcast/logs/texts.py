"""Strangers' texts, made fit for a line of the log: bounded, printable, and without keys and tokens."""

import re
from collections.abc import Iterable

SHOWN_CHARACTERS = 120  # of a text that a stranger chose
HIDDEN = "…"
MAX_PARTS = 8
LEAST_SECRET = 8  # characters; on loopback a key may be a word of which every text has some

_TOKEN = re.compile(r"(eyJ|eyAi|ewog|ew0K)[A-Za-z0-9_-]{5}")  # `{"` in base64url: how a JWT begins (RFC 7515)
_WORD = re.compile(r"[A-Za-z._-]{1,15}", re.ASCII)  # too short for a key
_FALS_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)  # a UUID (RFC 9562)
_SECRETS: set[str] = set()


def hold_secrets(secrets: Iterable[str]) -> None:
    """Hide these keys and secrets from now on, wherever a client may put one by mistake."""
    _SECRETS.update(secret for secret in secrets if len(secret) >= LEAST_SECRET)


def secret_in(text: str) -> bool:
    """Return whether a text contains what looks like a token, or one of this server's own keys and secrets."""
    return _TOKEN.search(text) is not None or any(secret in text for secret in _SECRETS)


def shown(text: str) -> str:
    """Return a stranger's text: at most `SHOWN_CHARACTERS`, none of them a control character; hidden with a secret."""
    if secret_in(text):
        return HIDDEN
    cut = text[:SHOWN_CHARACTERS]
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return safe if cut == text else f"{safe}…"


def path_shown(path: str) -> str:
    """Return a path whose parts are words or fal's request ids; `…` in place of any other, which may be a token.

    A key of another server looks like any id, so only what cannot be one is shown.
    """
    return "/".join(part if _harmless(part) else HIDDEN for part in path.split("/", MAX_PARTS))


def fals_id(text: str) -> str | None:
    """Return a request id of fal's form that is not a key of this server; None for any other text."""
    return text if _FALS_ID.fullmatch(text) and not secret_in(text) else None


def _harmless(part: str) -> bool:
    return not part or ((_WORD.fullmatch(part) or _FALS_ID.fullmatch(part)) is not None and not secret_in(part))
