"""The signals that stop a server."""

import signal


def stop_signals() -> list[signal.Signals]:
    """Return the signals that stop a server: all of SIGINT, SIGTERM, SIGHUP, without a SIGHUP that nohup(1) ignores."""
    found = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    return [name for name in found if name != signal.SIGHUP or signal.getsignal(name) != signal.SIG_IGN]
