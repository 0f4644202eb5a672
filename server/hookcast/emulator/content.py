"""The bytes of generated files: a beginning that decoders know, noise that differs by file, an end.

Each part of a file is computed on its own, so a file of any size needs no memory and can be sent in ranges. Pure but
for reading the two sample files.
"""

import base64
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MEDIA_FOLDER = Path(__file__).parent / "media"
PIECE_BYTES = 256 * 1024
TEXT_BYTES = PIECE_BYTES * 3 // 4  # of noise that fill a piece in base64
BOX_BYTES = 16  # the header of an MP4 box with a 64-bit size
HEAD_BYTES = 32  # the part of a piece of noise that differs

VIDEO, IMAGE, PAGE = "video/mp4", "image/png", "text/html"
SAMPLES = {VIDEO: "video.mp4", IMAGE: "image.png"}
DEFAULT_BYTES = 100_000  # of a file whose type has no sample


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of files: the extension of their names, and how they begin and end. `text`: the noise is base64."""

    extension: str
    begins: bytes = b""
    ends: bytes = b""
    text: bool = False


KINDS = {
    VIDEO: Kind("mp4"),
    IMAGE: Kind("png"),
    "video/webm": Kind("webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\x82\x84webm"),
    "image/jpeg": Kind("jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", b"\xff\xd9"),
    "image/webp": Kind("webp", b"RIFF\xff\xff\xff\xffWEBPVP8 "),
    "image/gif": Kind("gif", b"GIF89a"),
    "image/svg+xml": Kind("svg", b'<svg xmlns="http://www.w3.org/2000/svg"><!--', b"--></svg>", text=True),
    "audio/mpeg": Kind("mp3", b"ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x00"),
    "audio/wav": Kind("wav", b"RIFF\xff\xff\xff\xffWAVEfmt "),
    "model/gltf-binary": Kind("glb", b"glTF\x02\x00\x00\x00"),
    "font/woff2": Kind("woff2", b"wOF2"),
    "application/zip": Kind("zip", b"PK\x03\x04"),
    "application/pdf": Kind("pdf", b"%PDF-1.7\n", b"\n%%EOF\n"),
    "application/octet-stream": Kind("bin"),
    "application/json": Kind("json", b'{"text":"', b'"}', text=True),
    "text/plain": Kind("txt", text=True),
    PAGE: Kind("html", b"<!doctype html><title>Not found</title><pre>", b"</pre>", text=True),
}


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file; the same type, size and seed give the same bytes."""

    content_type: str
    size: int
    seed: str

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """Yield the bytes from `start` to before `stop`, in pieces of 256 KiB at most."""
        stop = self.size if stop is None else min(stop, self.size)
        begins, ends = _frame(self.content_type, self.size)
        while start < stop:
            at, piece = self._piece(start, begins, ends)
            piece = piece[start - at : stop - at]
            yield piece
            start += len(piece)

    def sha256(self) -> str:
        """Return the SHA-256 of the whole file, in hexadecimal. Takes about a second for a gigabyte."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()

    def _piece(self, position: int, begins: bytes, ends: bytes) -> tuple[int, memoryview]:
        """Return the piece that holds this position, and where the piece starts."""
        if position < len(begins):
            return 0, memoryview(begins)
        noise_ends = max(self.size - len(ends), len(begins))
        if position >= noise_ends:
            return noise_ends, memoryview(ends)
        number = (position - len(begins)) // PIECE_BYTES
        at = len(begins) + number * PIECE_BYTES
        noise = _noise(f"{self.seed}/{number}", text=KINDS[self.content_type].text)
        return at, memoryview(noise)[: noise_ends - at]


def usual_size(content_type: str) -> int:
    """Return the size in bytes of a file of this type for which no size is given."""
    return len(_sample(content_type)) or DEFAULT_BYTES


@cache
def _sample(content_type: str) -> bytes:
    name = SAMPLES.get(content_type)
    return b"" if name is None else (MEDIA_FOLDER / name).read_bytes()


def _frame(content_type: str, size: int) -> tuple[bytes, bytes]:
    """Return what surrounds the noise of a file. Noise is no part of an MP4's picture: it fills a `free` box."""
    kind, sample = KINDS[content_type], _sample(content_type)
    begins = sample or kind.begins
    rest = size - len(sample)
    if content_type == VIDEO and rest >= BOX_BYTES:
        begins = sample + struct.pack(">I4sQ", 1, b"free", rest)
    return begins, kind.ends


def _noise(seed: str, *, text: bool) -> bytes:
    """Return a piece of noise: the same for all but for its beginning, as hashing it all would be slow."""
    digest = hashlib.sha256(seed.encode())
    head = digest.hexdigest()[:HEAD_BYTES].encode() if text else digest.digest()
    return b"".join((head, _common_noise(text=text)))


@cache
def _common_noise(*, text: bool) -> memoryview:
    noise = hashlib.shake_256(b"hookcast").digest(PIECE_BYTES)
    return memoryview(base64.b64encode(noise[:TEXT_BYTES]) if text else noise)[HEAD_BYTES:]
