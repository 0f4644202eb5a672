"""The files of a result: which strings name one, and links put in without touching another byte."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.media.failures import Left
from hookcast.media.files import MAX_FILES, MAX_TOKENS, SLICE, Found, files, inline_content
from hookcast.splicing import spliced
from support.shapes import PNG_URI, SHAPES, cdn, file

LINK = 'https://files.example.com/019f/0-abc.png?a=1&b="ü"'


def encoded(result: object) -> bytes:
    return json.dumps(result).encode()


def names(found: list[Found]) -> list[str]:
    return [one.source.removeprefix(cdn("")) for one in found]


def replaced(value: Any, sources: set[str]) -> Any:
    """Replace links in a parsed result, by a walk of its own; texts stay."""
    if isinstance(value, str):
        return LINK if value in sources else value
    if isinstance(value, list):
        return [replaced(item, sources) for item in value]
    if isinstance(value, dict):
        return {
            key: item if key in {"prompt", "description"} else replaced(item, sources) for key, item in value.items()
        }
    return value


@pytest.mark.parametrize(("result", "expected"), [shape[1:] for shape in SHAPES], ids=[shape[0] for shape in SHAPES])
def test_the_files_of_a_model_are_found(result: object, expected: list[str]) -> None:
    assert names(files(encoded(result))) == expected


@pytest.mark.parametrize("result", [shape[1] for shape in SHAPES], ids=[shape[0] for shape in SHAPES])
def test_links_are_put_in_and_nothing_else_changes(result: object) -> None:
    text = encoded(result)
    found = files(text)
    linked = spliced(text, [(spot, LINK) for one in found for spot in one.spots])
    sources = {PNG_URI if one.inline else one.source for one in found}
    assert json.loads(linked) == replaced(result, sources)


strings = st.text() | st.sampled_from([cdn("a.png"), cdn("é.mp4"), PNG_URI, "https://", "data:,x", '"', "\\"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | strings,
    lambda inner: st.lists(inner) | st.dictionaries(strings | st.sampled_from(["url", "content_type"]), inner),
    max_leaves=25,
)


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_every_other_byte_stays(value: object, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="replace")
    spots = sorted(spot for found in files(text) for spot in found.spots)
    linked = spliced(text, [(spot, LINK) for spot in spots])
    pieces = linked.split(msgspec.json.encode(LINK))
    edges = [0, *[edge for spot in spots for edge in spot], len(text)]
    assert pieces == [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    assert all(json.loads(text[spot.start : spot.end]).lower().startswith(("http", "data:")) for spot in spots)


@given(st.binary())
def test_what_is_no_json_does_no_harm(text: bytes) -> None:
    for found in files(text + b'"https://a.example/x"]}'):
        assert all(0 <= spot.start < spot.end for spot in found.spots)


def test_the_same_source_at_several_places_is_one_file() -> None:
    [found] = files(encoded({"image": {"url": cdn("a.png")}, "images": [file("a.png")]}))
    assert len(found.spots) == 2
    assert found.called_a_file


@pytest.mark.parametrize(
    ("result", "called"),
    [
        ({"config": {"url": cdn("c.json"), "file_size": 3}}, True),
        ({"config": {"content_type": None, "url": cdn("c.json")}}, True),
        ({"config": {"url": cdn("c.json")}}, False),
        ({"config": {"other": {"url": cdn("c.json")}, "file_name": "c.json"}}, False),
        ({"config_url": cdn("c.json"), "file_name": "c.json"}, False),
        ({"url": [cdn("c.json")], "file_name": "c.json"}, False),
    ],
)
def test_a_file_is_called_one_by_the_shape_of_its_object(result: object, called: bool) -> None:
    assert [found.called_a_file for found in files(encoded(result))] == [called]


@pytest.mark.parametrize(
    "text",
    [
        *("ftp://a.example/x", "https://", "https://a b.example/", "https:/a.example/x", "see https://a.example/x"),
        *(
            "data:image/png,abc",
            "data:image/png;base64,",
            "data:image/png;base64,a b",
            "data:;base64,%41",
            "data:;base64,a\\b=",
            "//a.example",
        ),
        *("https://a.example/" + "x" * 8200, "https://a.example/\n", "http:", "mailto:a@a.example", "https://a\\b/"),
    ],
)
def test_what_is_not_as_a_whole_a_link_is_no_file(text: str) -> None:
    assert files(encoded({"image": text})) == []


@pytest.mark.parametrize(
    "name",
    ["prompt", "negative_prompt", "Text", "caption", "captions", "image_description", "title", "lyrics", "content"],
)
def test_texts_name_no_files(name: str) -> None:
    assert files(encoded({name: cdn("a.png")})) == files(encoded({name: [cdn("a.png")]})) == []


def test_an_object_under_a_text_s_name_may_hold_a_file() -> None:
    assert len(files(encoded({"content": [{"type": "image_url", "image_url": {"url": cdn("a.png")}}]}))) == 1


def test_slashes_may_be_escaped() -> None:
    text = rb'{"url": "https:\/\/a.example\/x.png", "uri": "data:image\/png;base64,\/\/8="}'
    link, uri = files(text)
    assert link.source == "https://a.example/x.png"
    assert (uri.source, uri.inline) == ("data:image/png", True)
    assert b"".join(inline_content(text, uri.spots[0])) == b"\xff\xff"


def test_a_result_without_end_is_read_from_its_start() -> None:
    start = encoded({"video": file("a.mp4"), "boxes": []})[:-2]
    found = files(start + b"[]," * MAX_TOKENS + encoded(cdn("late.mp4")) + b"]}")
    assert names(found) == ["a.mp4"]


def test_files_beyond_the_limit_are_not_looked_at() -> None:
    assert len(files(encoded([cdn(str(number)) for number in range(MAX_FILES + 5)] * 2))) == MAX_FILES


@pytest.mark.parametrize("size", [1, 2, 3, SLICE * 3 // 4 - 1, SLICE * 3 // 4, SLICE * 3 // 4 + 1, 3_000_000])
@pytest.mark.parametrize("form", ["plain", "escaped", "urlsafe", "unpadded", "lines", "lines of mail"])
def test_a_data_uri_is_decoded_in_pieces(size: int, form: str) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    data = base64.b64encode(content).decode()
    data = data.translate(str.maketrans("+/", "-_")) if form == "urlsafe" else data
    data = data.rstrip("=") if form == "unpadded" else data
    data = base64.encodebytes(content).decode() if form.startswith("lines") else data
    data = data.replace("\n", "\r\n") if form == "lines of mail" else data
    text = json.dumps({"image": f"data:image/png;base64,{data}"})
    text = text.replace("/", "\\/") if form == "escaped" else text
    [found] = files(text.encode())
    pieces = list(inline_content(text.encode(), found.spots[0]))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= SLICE


def test_what_is_nearly_a_data_uri_takes_no_longer() -> None:
    """Each byte is looked at once: quadratic time would be hours."""
    assert files(encoded({"image": "data:;base64,a=" + "\n" * 2_000_000 + "!"})) == []


@pytest.mark.parametrize("data", ["a", "abcde", "a=", "abcde=="])
def test_a_data_uri_that_is_not_base64_is_left(data: str) -> None:
    text = f'["data:image/png;base64,{data}"]'.encode()
    [found] = files(text)
    with pytest.raises(Left, match="not valid base64"):
        list(inline_content(text, found.spots[0]))
