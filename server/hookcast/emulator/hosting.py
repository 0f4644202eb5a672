"""The host of the requested files: answers requests for them with ranges, slowly, or with faults."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from hookcast.emulator.broken import BrokenResponse
from hookcast.emulator.content import IMAGE, PAGE, PIECE_BYTES, VIDEO, Content
from hookcast.emulator.files import STOPS, FileFault
from hookcast.emulator.hosted import HostedFile, hosted_file
from hookcast.emulator.queue import Job
from hookcast.emulator.ranges import part
from hookcast.emulator.webhooks import Sleep

# fal's media hosts allow every origin, too.
HEADERS = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=3600"}
MOVED = "moved"  # query parameter of the URL after a redirect
EXPIRES_SECONDS = 5.0
LIE_BYTES = 1000
TICKS_A_SECOND = 10  # of a file with a rate
LIES: dict[FileFault | None, int] = {FileFault.LENGTH_TOO_LONG: LIE_BYTES, FileFault.LENGTH_TOO_SHORT: -LIE_BYTES}


def answer(request: Request, job: Job, place: int, *, clock: float, sleep: Sleep) -> Response:
    """Answer a request for the file at this place; `clock` is the event loop's time.

    Raises HTTPException: 404 for no such file and for one that has expired, and 503.
    """
    try:
        file = hosted_file(job, place)
    except IndexError:
        raise HTTPException(404, "There is no such file.") from None
    fault = _fault(request, job, place, file)
    if fault is FileFault.EXPIRES and _expired(job, file, clock):
        raise HTTPException(404, "The file has expired.")
    if fault is FileFault.UNAVAILABLE:
        raise HTTPException(503, "The host of the file is unavailable.")
    if fault is FileFault.REDIRECT_LOOP or (fault is FileFault.REDIRECT and MOVED not in request.query_params):
        return RedirectResponse(file.wish.url or request.url.include_query_params(**{MOVED: "1"}), 302)
    return _file(request, file, fault, sleep)


def _expired(job: Job, file: HostedFile, clock: float) -> bool:
    seconds = EXPIRES_SECONDS if file.wish.seconds is None else file.wish.seconds
    return job.elapsed(clock) >= job.ends + seconds


def _fault(request: Request, job: Job, place: int, file: HostedFile) -> FileFault | None:
    """Return the fault that affects this request. The option `times` counts GET requests."""
    wish = file.wish
    if wish.fault is None:
        return None
    job.fetches[place] += request.method == "GET"
    return FileFault(wish.fault) if wish.times is None or job.fetches[place] <= wish.times else None


def _file(request: Request, file: HostedFile, fault: FileFault | None, sleep: Sleep) -> Response:
    content, content_type = _served(file.content, fault)
    etag = f'"{hashlib.sha256(repr(content).encode()).hexdigest()[:32]}"'
    same = request.headers.get("if-range", etag) == etag
    wanted = part(request.headers.get("range") if same else None, content.size)
    headers = {**HEADERS, "Content-Type": content_type, "ETag": etag, "Accept-Ranges": "bytes"}
    if wanted is None:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{content.size}"})
    whole = len(wanted) == content.size
    if not whole:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{content.size}"
    if fault is not FileFault.NO_LENGTH:
        headers["Content-Length"] = str(max(len(wanted) + LIES.get(fault, 0), 0))
    if request.method == "HEAD":
        return Response(status_code=200 if whole else 206, headers=headers)
    if fault in STOPS:
        wanted = wanted[: len(wanted) // 2 if file.wish.at is None else file.wish.at]
    pieces = _paced(content.pieces(wanted.start, wanted.stop), file.wish.bytes_per_second, sleep)
    if fault in STOPS or fault in LIES:
        return BrokenResponse(pieces, 200 if whole else 206, headers, hold=fault is FileFault.STALL)
    return StreamingResponse(pieces, 200 if whole else 206, headers)


def _served(content: Content, fault: FileFault | None) -> tuple[Content, str]:
    """Return the bytes that are served instead of the file's own, and the content type of the header."""
    content_type = content.content_type
    if fault is FileFault.WRONG_TYPE:
        return replace(content, content_type=VIDEO if content_type == IMAGE else IMAGE), content_type
    if fault is FileFault.WEB_PAGE:
        return replace(content, content_type=PAGE), PAGE
    if fault is FileFault.DISGUISED_PAGE:
        return replace(content, content_type=PAGE), content_type
    return content, content_type


async def _paced(pieces: Iterator[memoryview], rate: int | None, sleep: Sleep) -> AsyncIterator[memoryview]:
    """Yield the pieces, at this rate in bytes a second; the event loop serves others in between."""
    step = PIECE_BYTES if rate is None else max(min(rate // TICKS_A_SECOND, PIECE_BYTES), 1)
    for piece in pieces:
        for at in range(0, len(piece), step):
            some = piece[at : at + step]
            await sleep(len(some) / rate) if rate else await asyncio.sleep(0)
            yield some
