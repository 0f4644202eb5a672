"""The requested files of a job: what the result says about them; pure."""

import base64
from dataclasses import dataclass
from typing import TypeAlias

from hookcast.emulator.content import IMAGE, KINDS, VIDEO, Content
from hookcast.emulator.files import FileFault, FileWish
from hookcast.emulator.queue import Job

FileJson: TypeAlias = dict[str, str | int]

_IMAGE_WORDS = ("flux", "image", "diffusion", "sdxl", "recraft", "ideogram", "seedream", "banana")
_KEYS = {  # in the result: of one file, of several. Images are always a list
    "image": ("images", "images"),
    "video": ("video", "videos"),
    "audio": ("audio", "audios"),
    "model": ("model_mesh", "model_meshes"),
}
_OTHER_KEYS = ("file", "files")


@dataclass(frozen=True, slots=True)
class HostedFile:
    """One file: its name and bytes as the result tells them; its host may serve others."""

    name: str
    content: Content
    wish: FileWish


def makes_images(endpoint_id: str) -> bool:
    """Return whether the endpoint's name is an image model's. `image-to-video` and unknown names make videos."""
    words = endpoint_id.lower().split("/")[1:]
    if words and words[-1].endswith("to-image"):
        return True
    if any("video" in word for word in words):
        return False
    return any(mark in word for word in words for mark in _IMAGE_WORDS)


def file_content(request_id: str, place: int, *, content_type: str, size: int) -> Content:
    """Return the bytes of the file at this place (from 0) of `_emulator.files`; tests compare them with what came."""
    return Content(content_type, size, f"{request_id}/{place}")


def hosted_file(job: Job, place: int) -> HostedFile:
    """Return the file at this place. Raises IndexError."""
    wish = job.wishes.files[place]
    content_type = wish.type_or(IMAGE if makes_images(job.endpoint_id) else VIDEO)
    content = file_content(job.request_id, place, content_type=content_type, size=wish.size_as(content_type))
    return HostedFile(f"output.{KINDS[content_type].extension}", content, wish)


def named_files(job: Job) -> dict[str, object]:
    """Return the requested files under fal's usual keys, as `{"images": [...], "video": {...}}`."""
    found: dict[tuple[str, str], list[FileJson]] = {}
    for place in range(len(job.wishes.files)):
        file = hosted_file(job, place)
        keys = _KEYS.get(file.content.content_type.partition("/")[0], _OTHER_KEYS)
        found.setdefault(keys, []).append(_json(job, place, file))
    return {
        several if len(files) > 1 else one: files if len(files) > 1 or one == several else files[0]
        for (one, several), files in found.items()
    }


def _json(job: Job, place: int, file: HostedFile) -> FileJson:
    return {
        "url": _url(job, place, file),
        "content_type": file.content.content_type,
        "file_name": file.name,
        "file_size": file.content.size,
    }


def _url(job: Job, place: int, file: HostedFile) -> str:
    wish = file.wish
    if wish.data_uri:
        data = base64.b64encode(b"".join(file.content.pieces())).decode()
        return f"data:{file.content.content_type};base64,{data}"
    if wish.url is not None and wish.fault != FileFault.REDIRECT:
        return wish.url
    return f"{job.base_url}media/{job.request_id}/{place}/{file.name}"
