"""The event loops that async tests run on: asyncio's own, unless a module says otherwise by one of these marks."""

import pytest

UVLOOP = "asyncio", {"use_uvloop": True}
on_uvloop = pytest.mark.parametrize("anyio_backend", [UVLOOP], ids=["uvloop"], scope="module")
"""For modules whose server or client must be as fast as `hookcast serve` is."""
on_both_loops = pytest.mark.parametrize("anyio_backend", ["asyncio", UVLOOP], ids=["asyncio", "uvloop"], scope="module")
"""For modules about what depends on the loop: `hookcast serve` takes uvloop where there is one."""
