"""How deep JSON is nested, against a count that goes character by character."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.nesting import BLOCK, MAX_DEPTH, too_deep


def depth(value: Any) -> int:
    """By recursion."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


texts = st.text(st.sampled_from('[]{}"\\ax'), max_size=8)
values = st.recursive(
    texts | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=60,
)


@given(values, st.integers(4, 12))
def test_the_depth_is_that_of_the_value(value: Any, limit: int) -> None:
    """Brackets in strings and in names do not count, whatever is escaped there."""
    assert too_deep(json.dumps(value).encode(), limit) == (depth(value) > limit)


@pytest.mark.parametrize("wrap", [("[", "]"), ('{"[":', "}"), ('{"\\\\\\"{":["]",', "]}")])
def test_the_limit_itself_is_taken(wrap: tuple[str, str]) -> None:
    """One level more is not."""
    levels = MAX_DEPTH // (2 if wrap[1] == "]}" else 1)
    deep = f"{wrap[0] * levels}1{wrap[1] * levels}"
    assert depth(json.loads(deep)) == MAX_DEPTH
    assert not too_deep(deep.encode())
    assert too_deep(f"[{deep}]".encode())


@pytest.mark.parametrize("offset", range(-3, 4))
def test_a_string_may_begin_and_end_anywhere(offset: int) -> None:
    """Also where a block does that is looked at in one piece."""
    pad = "x" * (BLOCK + offset)
    value = [pad, "[" * 300, [[], {}] * 200, pad]
    assert not too_deep(json.dumps(value).encode())
    nested = "[" * 201 + "]" * 201
    assert too_deep(f'["{pad}",{nested}]'.encode())


def test_breadth_is_no_depth() -> None:
    assert not too_deep(b"[" + b"[[[[[]]]]]," * 100_000 + b"[]]")
    assert not too_deep(b'{"a":' * 100 + b"[" + b"[1,2]," * 10_000 + b"0]" + b"}" * 100)
