"""Whatever a parser is given, it reads it or refuses it with its own error, and what it reads keeps its promises."""

import base64
import json
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from starlette.requests import Request

from hookcast.errors import (
    InvalidRequest,
    SettingsError,
)
from hookcast.jobs import valid_request_id
from hookcast.push import messages
from hookcast.routes import jobs as job_routes
from hookcast.routes.numbers import digits, number, whole_number
from hookcast.routes.requests import check_label
from hookcast.routes.submit import Facts, Submission
from hookcast.settings import load_settings
from hookcast.wire import encode
from support.push import MOMENT, job

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NASTY = st.text(st.sampled_from("\r\n\0\t \u2028\u2029\x85</script>&\"'é\U0001f408a.:"), max_size=30)


@given(tags=st.lists(st.tuples(st.booleans(), st.integers(0, 2**70)), min_size=1), noise=st.text(max_size=20))
def test_if_none_match_finds_each_tag(tags: list[tuple[bool, int]], noise: str) -> None:
    """Weak or strong, whatever the others are (RFC 9110 section 13.1.2)."""
    header = " , ".join(f'W/"{version}"' if weak else f'"{version}"' for weak, version in tags)
    found = job_routes._entity_tags(f"{header},{noise}")
    assert {str(version) for _, version in tags} <= found


@given(moment=st.datetimes(), request_id=st.text(max_size=200).filter(valid_request_id))
def test_a_cursor_comes_back_as_it_was(moment: Any, request_id: str) -> None:
    """In characters that need no quoting in a URL."""
    cursor = (moment.replace(tzinfo=MOMENT.tzinfo), request_id)
    text = job_routes._encode_cursor(cursor)
    assert text.isascii()
    assert not set(text) & set("+/=& ")
    assert job_routes._decode_cursor(text) == cursor


@given(text=st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """Unless it happens to be one."""
    try:
        moment, request_id = job_routes._decode_cursor(text)
    except InvalidRequest:
        return
    assert moment.tzinfo is not None
    assert isinstance(request_id, str)


@given(text=NASTY | st.text(max_size=210))
def test_ids_and_labels_that_are_taken_are_one_line(text: str) -> None:
    """No control character gets into paths, logs or the database by them."""
    if valid_request_id(text):
        assert text.isprintable()
        assert len(text.splitlines()) == 1
        assert not {"/", "\\"} & set(text)
    try:
        check_label("owner", text)
    except InvalidRequest:
        return
    assert 1 <= len(text) <= 200
    assert not {"\r", "\n", "\0"} & set(text)


@given(text=st.text())
def test_a_number_of_the_query_is_within_its_bounds_or_refused(text: str) -> None:
    query = httpx.QueryParams({"wait": text})
    request = Request({"type": "http", "query_string": str(query).encode(), "headers": []})
    try:
        value = number(request, "wait", 0, 60)
    except InvalidRequest:
        return
    assert value is not None
    assert 0 <= value <= 60


@pytest.mark.parametrize(
    "text", ["9" * 5000, "9" * 19, "", " 1", "+1", "-1", "1_0", "1.0", "0x1", "\u0663", "\xb2", "1e1"]
)
def test_what_is_no_whole_number_in_plain_digits_is_none_and_a_refusal(text: str) -> None:
    """`int` would raise, or take more than a client may send."""
    assert digits(text) is None
    query = httpx.QueryParams({"version": text})
    request = Request({"type": "http", "query_string": str(query).encode(), "headers": []})
    with pytest.raises(InvalidRequest):
        whole_number(request, "version", 0, 2**53)


@given(
    fields=st.dictionaries(st.sampled_from(["endpointId", "owner", "group", "metadata", "input", "options", "x"]), JSON)
)
def test_a_submit_is_refused_or_exactly_what_was_sent(fields: dict[str, Any]) -> None:
    """No unknown member, and the model's input byte for byte."""
    try:
        found = msgspec.json.decode(json.dumps(fields).encode(), type=Submission)
    except msgspec.ValidationError:
        return
    assert "x" not in fields
    assert bytes(found.input).decode() == json.dumps(fields["input"])
    assert (found.owner, found.group) == (fields.get("owner"), fields.get("group"))
    for name, value in found.options.headers().items():
        assert value.isprintable(), name
        assert value.isascii()


@given(text=st.text() | JSON.map(json.dumps), names=st.lists(NASTY, max_size=5))
def test_a_message_of_a_client_is_refused_or_of_names_that_may_be(text: str, names: list[str]) -> None:
    """And what is said back is one frame of JSON."""
    for said in (text, json.dumps({"type": "subscribe", "requestIds": names, "groups": names})):
        try:
            found = messages.names_of(messages.parse(said))
        except InvalidRequest as error:
            frame = messages.error("bad_message", str(error))
            assert b"\n" not in frame[4:]
            continue
        assert all(1 <= len(name) <= 200 for name in (*found.jobs, *found.groups))


@given(
    error=NASTY,
    detail=JSON,
    owner=NASTY,
    group=NASTY,
    metadata=st.dictionaries(NASTY, JSON, max_size=3),
    gap=st.sampled_from(["", "\r", "\n", "\r\n", "\n\n"]),
)
def test_one_event_stays_one_event(  # noqa: PLR0917 - each is a part of the job
    error: str, detail: Any, owner: str, group: str, metadata: dict[str, Any], gap: str
) -> None:
    """Three lines and the blank one, by every line break that WHATWG SSE knows, whatever the job carries."""
    raw = json.dumps(detail, separators=(f",{gap}", f":{gap}")).encode()
    labels = {name: Raw(json.dumps(value).encode()) for name, value in metadata.items()}
    made = encode(
        msgspec.structs.replace(job(), error=error, error_detail=Raw(raw), owner=owner, group=group, metadata=labels)
    )
    text = made.sse.decode()
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert [line.partition(":")[0] for line in lines] == ["id", "event", "data", "", ""]
    told = json.loads(lines[2].removeprefix("data: "))
    assert (told["error"], told["errorDetail"], told["owner"], told["group"]) == (error, detail, owner, group)


@given(
    values=st.dictionaries(
        st.sampled_from(
            ["port", "public_url", "database_url", "redis_url", "max_streams", "host", "heartbeat_seconds"]
        ),
        NASTY | st.integers() | st.text(),
    )
)
def test_settings_are_right_or_refused_in_one_line(values: dict[str, Any]) -> None:
    """And a secret is never in it."""
    secret = "hunter2-hunter2"
    try:
        found = load_settings(fal_key=secret, **values)
    except SettingsError as error:
        told = str(error)
        if len(told.splitlines()) != 1 or secret in told:
            pytest.fail(told)
        return
    assert secret not in repr(found)
    assert 1 <= found.port <= 65535


@given(value=JSON)
def test_facts_are_refused_or_can_be_stored(value: Any) -> None:
    """What is taken has no control characters in its labels."""
    body = json.dumps({"owner": value, "group": value, "metadata": {"a": value}}).encode()
    try:
        found = msgspec.json.decode(body, type=Facts)
    except msgspec.ValidationError:
        return
    for text in (found.owner, found.group):
        assert text is None or (0 < len(text) <= 200 and "\n" not in text)


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (Facts, b'{"owner":"a\\n"}'),
        (Facts, b'{"group":"a\\n"}'),
        (Submission, b'{"input":{},"options":{"runnerHint":"x\\n"}}'),
        (Submission, b'{"input":{},"options":{"objectLifecycle":{"x\\n":1}}}'),
        (messages.Subscribe, b'{"type":"subscribe","groups":["g\\n"]}'),
    ],
)
def test_a_newline_at_the_end_is_a_control_character_too(shape: type[Any], body: bytes) -> None:
    """`$` alone matches before it."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=shape)
