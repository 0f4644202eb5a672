"""The type of a file, when header, name and bytes agree, and when they do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.media.types import HEAD, file_type, is_kept

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF"
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2"
WEBM = b"\x1aE\xdf\xa3\x9fB\x86\x81\1"
ZIP = b"PK\3\4\x14\0\0\0"
SVG = b"<?xml version='1.0'?>\n<!-- made by x -->\n<svg xmlns='http://www.w3.org/2000/svg'>"
HTML = b"\xef\xbb\xbf \n<!-- hi --><!DOCTYPE html><html>"
UNKNOWN = b"\x08\x01\x02\x03\x00\xfe\xff"
OCTETS = "application/octet-stream"


@pytest.mark.parametrize(
    ("header", "name", "head", "content_type", "extension"),
    [
        # they agree
        ("image/png", "a.png", PNG, "image/png", "png"),
        ("image/jpeg", "a.jpeg", JPEG, "image/jpeg", "jpeg"),
        ("image/jpg; charset=binary", "a", JPEG, "image/jpeg", "jpg"),
        ("video/mp4", "a.mp4", MP4, "video/mp4", "mp4"),
        ("audio/mpeg", "a.mp3", b"ID3\4\0", "audio/mpeg", "mp3"),
        ("audio/mpeg", "a.mp3", b"\xff\xfb\x90\x64", "audio/mpeg", "mp3"),
        ("audio/x-wav", "a.wav", b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav", "wav"),
        ("image/webp", "a.webp", b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp", "webp"),
        ("model/gltf-binary", "a.glb", b"glTF\2\0\0\0", "model/gltf-binary", "glb"),
        ("image/svg+xml", "a.svg", SVG, "image/svg+xml", "svg"),
        ("application/json", "config.json", b'{"a": 1}', "application/json", "json"),
        ("text/html; charset=utf-8", "a.html", HTML, "text/html", "html"),
        # nothing is declared, or nothing that helps
        (None, None, PNG, "image/png", "png"),
        (OCTETS, "a.glb", b"glTF\2\0\0\0", "model/gltf-binary", "glb"),
        (OCTETS, "w.safetensors", b"\x10\0\0\0\0\0\0\0{}", OCTETS, "safetensors"),
        ("binary/octet-stream", "a.zip", ZIP, "application/zip", "zip"),
        ("text/plain", "a.obj", b"# Blender\nv 1 2 3\n", "model/obj", "obj"),
        (None, "a.stl", b"binary stl\0\0", "model/stl", "stl"),
        (None, "x", b"just a text, with an \xc3\xa9", "text/plain", "txt"),
        (None, None, UNKNOWN, OCTETS, "bin"),
        ("nonsense", "a.exe", UNKNOWN, OCTETS, "bin"),
        ("", "../../etc/passwd.", b"\x7fELF\2\1\1\0", OCTETS, "bin"),
        # they disagree: the bytes decide
        ("image/png", "a.png", JPEG, "image/jpeg", "jpg"),
        ("video/mp4", "a.mp4", HTML, "text/html", "html"),
        ("image/jpeg", "a.jpg", b'{"error": "no"}', "text/plain", "txt"),
        ("image/png", "a.png", UNKNOWN, OCTETS, "bin"),
        ("image/png", "a.svg", b"<html><svg>", "text/html", "html"),
        ("image/png", "a.png", SVG, "image/svg+xml", "svg"),
        ("text/html", "a.png", PNG, "image/png", "png"),
        ("application/json", "a.json", ZIP, "application/zip", "zip"),
        ("text/plain", "a.txt", UNKNOWN, OCTETS, "bin"),
        ("text/html", "x", b"no markup here", "text/plain", "txt"),
        # a declaration that the bytes allow is more exact
        ("audio/mp4", "a.m4a", MP4, "audio/mp4", "m4a"),
        ("video/quicktime", "a.mov", MP4, "video/quicktime", "mov"),
        (None, "a.mov", b"\0\0\0\x14ftypqt  ", "video/quicktime", "mov"),
        ("audio/webm", "a.weba", WEBM, "audio/webm", "weba"),
        ("video/x-matroska", "a.mkv", WEBM, "video/x-matroska", "mkv"),
        ("model/vnd.usdz+zip", "a.usdz", ZIP, "model/vnd.usdz+zip", "usdz"),
        (OCTETS, "a.usdz", ZIP, "model/vnd.usdz+zip", "usdz"),
        ("audio/aac", "a.aac", b"\xff\xf1\x50\x80", "audio/aac", "aac"),
        ("audio/ogg", "a.opus", b"OggS\0\2", "audio/ogg", "ogg"),
        ("model/gltf+json", "a.gltf", b'{"asset": {}}', "model/gltf+json", "gltf"),
        ("text/csv", "a.csv", b"a,b\n1,2\n", "text/csv", "csv"),
        ("application/x-subrip", "a.srt", b"1\n00:00:00,000 --> ", "application/x-subrip", "srt"),
    ],
)
def test_the_type_of_a_file(
    header: str | None, name: str | None, head: bytes, content_type: str, extension: str
) -> None:
    assert file_type(header, name, head) == (content_type, extension)


@pytest.mark.parametrize(
    ("content_type", "alone", "called"),
    [
        *[(kind, True, True) for kind in ("image/png", "image/svg+xml", "video/mp4", "audio/wav", "model/obj")],
        *[(kind, True, True) for kind in ("font/woff2", "application/zip", "application/pdf", OCTETS)],
        *[(kind, False, True) for kind in ("application/json", "text/plain", "text/csv", "application/x-subrip")],
        *[(kind, False, False) for kind in ("text/html", "application/xhtml+xml")],
    ],
)
def test_which_types_are_kept(content_type: str, alone: bool, called: bool) -> None:
    assert is_kept(content_type, called_a_file=False) is alone
    assert is_kept(content_type, called_a_file=True) is called


@given(st.none() | st.text(), st.none() | st.text(), st.binary(max_size=HEAD) | st.text().map(str.encode))
def test_an_extension_is_always_plain(header: str | None, name: str | None, head: bytes) -> None:
    found = file_type(header, name, head)
    assert found.extension.isalnum()
    assert found.extension.isascii()
    assert found.content_type.isascii()


@given(st.sampled_from([b"<html>", b"<!doctype HTML >", b"\n\t<script src=x>", b"<!--a--> <BODY x>", b"<iframe/"]))
def test_no_web_page_passes_as_something_else(page: bytes) -> None:
    for header in ("image/png", "image/svg+xml", "model/obj", OCTETS, "text/plain", None):
        assert file_type(header, "a.png", page).content_type == "text/html"
