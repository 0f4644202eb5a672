"""The messages of `hookcast.v1`."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.errors import InvalidRequest
from hookcast.push import messages
from hookcast.push.topics import Names
from support.push import ws_messages


def test_names_are_taken_once_and_in_order() -> None:
    """A name that is repeated counts once."""
    message = messages.parse('{"type":"subscribe","requestIds":["b","a","b"],"groups":["g"],"token":"t"}')
    assert isinstance(message, messages.Subscribe)
    assert (messages.names_of(message), message.token) == (Names(("b", "a"), ("g",)), "t")


@given(
    text=st.text()
    | st.none()
    | st.recursive(st.none() | st.text(), st.lists).map(lambda v: msgspec.json.encode(v).decode())
)
def test_whatever_a_client_sends_is_a_message_or_refused(text: str | None) -> None:
    """With a sentence about what is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        messages.parse(text)
    assert str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"subscribe","requestIds":["\\ud800"]}',
        "[" * 60_000,
        '{"type":"subscribe","requestIds":["%s"]}' % ("a" * 201),
        '{"type":"subscribe","owners":["a\nb"]}',
        '{"type":"subscribe","all":true,"since":"yesterday"}',
        '{"type":"subscribe","all":true,"since":"2026-11-29T10:00:00"}',
        '{"type":"subscribe","owners":["user-1"],"since":"2026-11-29T10:00:00Z"}',
    ],
)
def test_what_json_allows_and_we_do_not_is_refused(text: str) -> None:
    """Lone surrogates, nesting without end, names that are too long, times without a zone or without a use."""
    with pytest.raises(InvalidRequest):
        messages.parse(text)


def test_what_the_server_says_is_json_in_one_frame() -> None:
    """As the protocol page has it."""
    frames = (
        messages.subscribed(Names(("a",), ("g",)))
        + messages.error("too_many", "Too many.", Names(("a",)))
        + messages.subscribed(Names(owners=("user-1",), everything=True))
        + messages.forbidden(Names(("a",), ("g",), ("user-2",), everything=True))
        + messages.reconnect(1500)
        + messages.PING
    )
    assert ws_messages(frames) == [
        {"type": "subscribed", "requestIds": ["a"], "groups": ["g"]},
        {"type": "error", "code": "too_many", "message": "Too many.", "requestIds": ["a"]},
        {"type": "subscribed", "requestIds": [], "groups": [], "owners": ["user-1"], "all": True},
        {
            "type": "error",
            "code": "forbidden",
            "message": "There is no such job or feed, or the token does not show it.",
            "requestIds": ["a"],
            "groups": ["g"],
            "owners": ["user-2"],
            "all": True,
        },
        {"type": "reconnect", "afterMs": 1500},
        (1012, "restart"),
        {"type": "ping"},
    ]
