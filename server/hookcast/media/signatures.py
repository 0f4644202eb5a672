"""The first bytes of file formats; pure. Sources: the WHATWG's MIME Sniffing standard, and the formats' own."""

import codecs
import re

UNKNOWN = ""
TEXT = "text"

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (  # (offset, bytes, type)
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"\x76\x2f\x31\x01", "image/x-exr"),
    (0, b"#?RADIANCE", "image/vnd.radiance"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"MThd", "audio/midi"),
    (0, b"glTF", "model/gltf-binary"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", "application/x-tar"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"OTTO", "font/otf"),
    (0, b"\x00\x01\x00\x00\x00", "font/ttf"),
    (0, b"ply\n", "model/ply"),
    (0, b"ply\r\n", "model/ply"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
}
_PAGE = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|script|iframe|h1|div|font|table|a|style|title|br|p|meta)[\s>/]", re.IGNORECASE
)
_SVG = re.compile(rb"(?:<\?xml[^>]*\?>|<!--.*?-->|<!doctype\s+svg[^>]*>|\s)*<svg[\s>]", re.IGNORECASE | re.DOTALL)
_COMMENTS = re.compile(rb"(?:<!--.*?-->|<\?xml[^>]*\?>|\s)*", re.DOTALL)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")  # bytes that no text has, by the standard


def of_bytes(head: bytes) -> str:
    """Return the type that a file's first bytes show, TEXT for a text without a signature, else UNKNOWN."""
    for offset, magic, content_type in _SIGNATURES:
        if head.startswith(magic, offset):
            return content_type
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return "audio/aiff"
    return _audio_frame(head) or _of_text(head)


def _audio_frame(head: bytes) -> str:
    """Return the type when a frame of AAC (ADTS) or MP3 begins: the sync word, and no reserved values after it."""
    if len(head) < 4 or head[0] != 0xFF:
        return UNKNOWN
    if head[1] & 0xF6 == 0xF0:  # layer 0 is ADTS
        return "audio/aac" if head[2] & 0x3C <= 0x30 else UNKNOWN
    valid = head[1] & 0xE6 in {0xE2, 0xE4} and head[1] & 0x18 != 0x08  # layers III and II
    return "audio/mpeg" if valid and head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C else UNKNOWN


def _of_text(head: bytes) -> str:
    if _BINARY.search(head) or not head:
        return UNKNOWN
    text = head.removeprefix(codecs.BOM_UTF8)
    if _SVG.match(text):
        return "image/svg+xml"
    skipped = _COMMENTS.match(text)
    if _PAGE.match(text, skipped.end() if skipped else 0):
        return "text/html"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text)  # the last character may be cut
    except UnicodeDecodeError:
        return UNKNOWN
    return TEXT
