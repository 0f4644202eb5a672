"""Names of files in the storage: ours, never theirs; pure."""

import hashlib
import re
import secrets

INCOMING = "incoming"
MAX_FOLDER = 120  # characters: a file system allows 255 bytes
_KEY = re.compile(r"[A-Za-z0-9_~-]{1,120}/[0-9]{1,3}-[0-9a-f]{16}\.[a-z0-9]{1,12}")
_OTHER = re.compile(rb"[^A-Za-z0-9_-]")


def folder_of(request_id: str) -> str:
    """Return the folder of a job's files: its id, each byte but letters, digits, - and _ as `~` and two hex digits.

    Different ids have different folders. A long one ends in the hash of the id.
    """
    safe = _OTHER.sub(lambda found: b"~%02x" % found[0][0], request_id.encode()).decode()
    if safe == INCOMING:
        return f"~{ord(INCOMING[0]):02x}{INCOMING[1:]}"
    if len(safe) > MAX_FOLDER:
        return f"{safe[: MAX_FOLDER - 66]}~~{hashlib.sha256(request_id.encode()).hexdigest()}"
    return safe


def key_of(request_id: str, position: int, sha256: str, extension: str) -> str:
    """Return the key of a job's file: the same content at the same position has the same key, whoever copies it."""
    return f"{folder_of(request_id)}/{position}-{sha256[:16]}.{extension}"


def is_key(name: str) -> bool:
    """Return whether a file of this name may be ours: `key_of` returns no other names."""
    return _KEY.fullmatch(name) is not None


def draft_name(folder: str) -> str:
    """Return a new name for a draft of a file that goes to a folder."""
    return f"{draft_prefix(folder)}{secrets.token_hex(16)}"


def draft_prefix(folder: str) -> str:
    """Return what the names of a folder's drafts begin with: no folder's name contains a dot."""
    return f"{INCOMING}/{folder}."
