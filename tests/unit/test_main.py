"""The entry point of the `hookcast` command."""

import builtins
import gc
from typing import Any

import pytest

from hookcast.__main__ import main


def test_ctrl_c_while_it_is_still_loading_leaves_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def interrupted(name: str, *rest: Any) -> Any:
        if name == "hookcast.cli.commands":
            raise KeyboardInterrupt
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    monkeypatch.setattr(gc, "set_threshold", lambda _: None)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 130
