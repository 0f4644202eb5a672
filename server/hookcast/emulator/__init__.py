"""Emulator of fal's queue on loopback: submit, status, status stream, result, cancel, signed webhooks, JWKS and media.

For development and tests without a fal key or a tunnel. State is in memory and lost when the process exits.
"""

from hookcast.emulator.app import begin_shutdown, create_emulator
from hookcast.emulator.faults import Fault
from hookcast.emulator.files import FileFault
from hookcast.emulator.hosted import file_content
from hookcast.emulator.webhooks import USER_ID

__all__ = ["USER_ID", "Fault", "FileFault", "begin_shutdown", "create_emulator", "file_content"]
