"""The type of a file, from its header, its name and its first bytes; pure.

The bytes decide when they are known and disagree with what was declared. A more specific declaration that fits
the bytes holds: an .m4a is an MP4 to its bytes, a .usdz a ZIP archive.
"""

import re
from typing import NamedTuple

from hookcast.media.signatures import TEXT, UNKNOWN, of_bytes

HEAD = 1024  # first bytes that `file_type` needs

_OCTETS = "application/octet-stream"
_VAGUE = frozenset({"", _OCTETS, "binary/octet-stream", "application/binary", "application/x-binary", "text/plain"})
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_KINDS = ("image/", "video/", "audio/", "model/", "font/")
_KEPT = frozenset(
    {
        *(_OCTETS, "application/pdf", "application/ogg", "application/mp4"),
        *("application/zip", "application/gzip", "application/x-tar", "application/zstd", "application/x-bzip2"),
        *("application/x-xz", "application/x-7z-compressed", "application/vnd.rar"),
    }
)
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/x-aac": "audio/aac",
    "application/x-zip-compressed": "application/zip",
    "application/x-gzip": "application/gzip",
    "application/x-tar+gzip": "application/gzip",
    "application/x-rar-compressed": "application/vnd.rar",
    "application/font-woff": "font/woff",
    "application/x-font-ttf": "font/ttf",
    "application/vnd.ms-opentype": "font/otf",
    "application/x-safetensors": _OCTETS,
    "text/json": "application/json",
}
# The types that files of other types begin with: what may be declared instead.
_CONTAINERS = {
    "video/mp4": re.compile(r"(video|audio|application)/(mp4|quicktime|x-m4v|3gpp2?)|image/(heic|heif|avif)"),
    "video/webm": re.compile(r"(video|audio)/(webm|x-matroska|matroska)"),
    "audio/ogg": re.compile(r"(audio|video|application)/(ogg|opus)"),
    "application/zip": re.compile(r"model/(vnd\.usdz\+zip|3mf)|application/(vnd\..+|epub\+zip)"),
    "image/tiff": re.compile(r"image/(tiff|x-adobe-dng|dng)"),
    "audio/mpeg": re.compile(r"audio/(mpeg|aac|aacp)"),
    TEXT: re.compile(r"text/(?!html).+|model/.+|application/(json|xml|yaml|x-yaml|x-subrip|x-ndjson|.+\+(json|xml))"),
}
# A type and its extensions, the usual one first.
_TABLE = """
image/png png             image/jpeg jpg jpeg     image/webp webp          image/gif gif
image/avif avif           image/heic heic         image/heif heif          image/bmp bmp
image/tiff tiff tif       image/svg+xml svg       image/x-icon ico         image/jxl jxl
image/x-exr exr           image/vnd.radiance hdr  image/vnd.adobe.photoshop psd
video/mp4 mp4             video/webm webm         video/quicktime mov      video/x-matroska mkv
video/x-msvideo avi       video/x-m4v m4v         video/ogg ogv
audio/mpeg mp3            audio/wav wav           audio/flac flac          audio/ogg ogg
audio/opus opus           audio/mp4 m4a           audio/aac aac            audio/webm weba
audio/aiff aiff           audio/midi mid
model/gltf-binary glb     model/gltf+json gltf    model/obj obj            model/mtl mtl
model/stl stl             model/vnd.usdz+zip usdz model/vnd.usd usd        model/3mf 3mf
model/ply ply             model/vnd.collada+xml dae  model/step step
font/ttf ttf              font/otf otf            font/woff woff           font/woff2 woff2
application/zip zip       application/gzip gz     application/x-tar tar    application/zstd zst
application/x-bzip2 bz2   application/x-xz xz     application/x-7z-compressed 7z  application/vnd.rar rar
application/pdf pdf       application/json json   application/xml xml      application/yaml yaml
application/x-subrip srt  application/x-ndjson jsonl  text/plain txt       text/csv csv
text/vtt vtt              text/markdown md        text/html html
"""
_FIRST: dict[str, str] = {}
_EXTENSIONS: dict[str, str] = {}
for _word in _TABLE.split():
    if "/" in _word:
        _type = _word
    else:
        _EXTENSIONS[_word] = _type
        _FIRST.setdefault(_type, _word)
# Formats without a type of their own: their extension is kept.
_OCTET_NAMES = frozenset(
    [
        *("safetensors", "ckpt", "pt", "pth", "gguf", "onnx", "fbx", "blend", "splat", "spz", "ksplat", "npy", "npz"),
        *("parquet", "vdb"),
    ]
)
# What always begins with its signature, or is a text: not these, when the bytes show neither.
_SIGNED = frozenset(
    {
        *("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/bmp", "image/tiff"),
        *("image/svg+xml", "video/mp4", "video/webm", "video/quicktime", "video/x-matroska", "audio/wav"),
        *("audio/flac", "audio/ogg", "model/gltf-binary", "application/pdf", "application/zip", "application/gzip"),
        *("font/woff", "font/woff2", "application/json", "application/xml"),
    }
)
_FORM = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")


class FileType(NamedTuple):
    """A media type without parameters, and the extension of the file's name in the storage, without a dot."""

    content_type: str
    extension: str


def file_type(header: str | None, name: str | None, head: bytes) -> FileType:
    """Return the type of a file: `header` is its Content-Type, `name` its file name, `head` its first `HEAD` bytes."""
    ending = (name or "").rpartition(".")[2].lower() if "." in (name or "") else ""
    claims = [claim for claim in (_declared(header), _EXTENSIONS.get(ending, "")) if claim not in _VAGUE]
    content_type = _decided(of_bytes(head), claims)
    return FileType(content_type, _extension(content_type, ending))


def type_of_name(name: str) -> str:
    """Return the type of a file in the storage, whose name we chose by its type."""
    return _EXTENSIONS.get(name.rpartition(".")[2], _OCTETS)


def is_kept(content_type: str, *, called_a_file: bool) -> bool:
    """Return whether files of this type are kept. Web pages never are; texts when called a file."""
    if content_type in _PAGES:
        return False
    return called_a_file or content_type in _KEPT or content_type.startswith(_KINDS)


def _declared(header: str | None) -> str:
    found = (header or "").partition(";")[0].strip().lower()
    return _ALIASES.get(found, found) if _FORM.fullmatch(found) else ""


def _decided(actual: str, claims: list[str]) -> str:
    """Return the first claim that fits the bytes, else what they are."""
    if actual == UNKNOWN:
        return next((claim for claim in claims if _may_be_unknown(claim)), _OCTETS)
    fitting = _CONTAINERS.get(actual)
    for claim in claims:
        if claim == actual or (fitting is not None and fitting.fullmatch(claim)):
            return claim
    return "text/plain" if actual == TEXT else actual


def _may_be_unknown(claim: str) -> bool:
    """Return whether bytes without a signature may be of this type: not those that always begin with one."""
    return claim not in _SIGNED and not claim.startswith("text/") and claim not in _PAGES


def _extension(content_type: str, ending: str) -> str:
    if _EXTENSIONS.get(ending) == content_type:
        return ending
    if content_type == _OCTETS:
        return ending if ending in _OCTET_NAMES else "bin"
    return _FIRST.get(content_type, "bin")
