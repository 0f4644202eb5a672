"""fal's queue played on loopback: submit, status, status stream, result, cancel, signed webhooks, JWKS and media.

It is made for developing and testing without a key and without a tunnel; state is in memory and ends with the process.
"""

from hookcast.emulator.app import begin_shutdown, create_emulator
from hookcast.emulator.faults import Fault
from hookcast.emulator.webhooks import USER_ID

__all__ = ["USER_ID", "Fault", "begin_shutdown", "create_emulator"]
