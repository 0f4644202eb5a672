"""A job on a terminal, rendered with Rich. Control characters in remote text are replaced."""

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from hookcast.client import Job, MediaFile, Notice, Transport

BAR_WIDTH = 32
MAX_URLS = 20
REFRESHES = 10  # a second
_PHASES = {"queued": "In the queue", "running": "Running", "saving": "Fetching the result", "cancelling": "Cancelling"}
_ENDS = {"completed": ("✓", "Completed in", "green"), "cancelled": ("○", "Cancelled after", "yellow")}
_FAILED = ("✗", "Failed after", "red")
_TRANSPORTS = {Transport.LONG_POLL: "long polling", Transport.POLL: "polling every 3 s"}


class JobDisplay:
    """A live view of a pending job that leaves the outcome on the screen. Use it as a context manager.

    `server` is the URL that the paths of kept files belong to.
    """

    def __init__(self, console: Console, request_id: str, server: str = "") -> None:
        self._console = console
        self._request_id = request_id
        self._server = server
        self._job: Job | None = None
        self._notice: Notice | None = None
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            get_renderable=self._draw,
            console=console,
            transient=True,
            refresh_per_second=REFRESHES,
            redirect_stderr=False,
        )

    def __enter__(self) -> "JobDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        if self._job is not None:
            self._console.print(title(self._job, self._request_id), soft_wrap=True)
            if self._job.ended:
                self._console.print(outcome(self._job, self._server), soft_wrap=True)
            else:
                self._console.print(
                    f"Stopped watching; the job continues: hookcast watch {self._request_id}", soft_wrap=True
                )

    def show(self, job: Job) -> None:
        """Display a newer state."""
        self._job = job

    def notify(self, notice: Notice) -> None:
        """Display the status of the connection."""
        self._notice = notice

    def _draw(self) -> ConsoleRenderable:
        picture = pending(self._job, self._spinner, now=datetime.now(UTC))
        return Group(title(self._job, self._request_id), picture, *connection(self._notice))


def title(job: Job | None, request_id: str) -> Text:
    """Return the line that names the model and the job."""
    endpoint = None if job is None else job.endpoint_id
    model = [(f"{plain(endpoint)}  ", "bold")] if endpoint else []
    return Text.assemble(*model, (plain(request_id), "dim"), no_wrap=True, overflow="fold")


def pending(job: Job | None, spinner: Spinner, *, now: datetime) -> ConsoleRenderable:
    """Render phase, progress bar, time and the last log line of a pending job, or how far its files are copied."""
    if job is None:
        return _row(spinner, Text("Waiting for the server to know this job"))
    progress = job.progress
    if progress.phase == "saving" and job.media:
        return Group(*_copying(job.media, spinner, seconds_between(job.created_at, now)))
    phase = _PHASES.get(progress.phase, plain(progress.phase))
    if progress.phase == "queued" and progress.queue_position is not None:
        phase += f", position {progress.queue_position}"
    elapsed = seconds_between(job.created_at, now)
    expected = progress.expected_seconds
    rows: list[ConsoleRenderable] = [
        _row(spinner, Text(phase)),
        _row(Text(" "), _bar(elapsed, expected), _time(elapsed, expected)),
    ]
    if progress.logs:
        rows.insert(1, Text(f"  {plain(progress.logs[-1].message)}", style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*rows)


def _copying(files: Sequence[MediaFile], spinner: Spinner, elapsed: float) -> Iterator[ConsoleRenderable]:
    kept = sum(file.status == "kept" for file in files)
    yield _row(spinner, Text(f"Copying the files, {kept} of {len(files)}"))
    troubles = [file.error for file in files if file.error]
    if troubles:
        yield Text(f"  {plain(troubles[-1])}", style="yellow", no_wrap=True, overflow="ellipsis")
    copied = size_words(sum(file.bytes for file in files))
    yield _row(Text(" "), _bar(*copied_bytes(files)), Text(f"{copied}, {duration(elapsed)}", style="dim"))


def copied_bytes(files: Sequence[MediaFile]) -> tuple[float, float | None]:
    """Return the bytes copied, and those of all files together; None while no size is known.

    A file whose size is not known yet counts as much as the others do on average; one that is left does not count.
    """
    copied = [file for file in files if file.status != "left"]
    sizes = [file.size for file in copied if file.size is not None]
    total = sum(sizes) / len(sizes) * len(copied) if sizes else None
    return float(sum(file.bytes for file in copied)), total


def connection(notice: Notice | None) -> Iterator[Text]:
    """Yield a line about the connection: an error, or a fallback from streaming."""
    if notice is None:
        return
    if notice.trouble is not None:
        yield Text(
            f"  {plain(notice.trouble).rstrip('.')}; trying again…", style="yellow", no_wrap=True, overflow="ellipsis"
        )
    elif notice.transport in _TRANSPORTS:
        yield Text(f"  Streaming does not work: {_TRANSPORTS[notice.transport]}.", style="dim yellow")


def outcome(job: Job, server: str = "") -> Text:
    """Render the outcome: how long the job took, and the URLs of its media or the error.

    A kept file's link that is a path belongs to the URL `server`.
    """
    sign, words, colour = _ENDS.get(job.status, _FAILED)
    took = duration(seconds_between(job.created_at, job.completed_at or job.updated_at))
    text = Text.assemble((f"{sign} {words} {took}", f"bold {colour}"))
    if job.error:
        text.append(f"\n  {plain(job.error)}")
    try:
        urls = list(media(job.result(), own=[file.url for file in job.media if file.url]))
    except ValueError:  # a number that no Python float can hold; the JSON still has the media
        urls = []
    width = max((len(label) for label, _ in urls[:MAX_URLS]), default=0)
    for label, url in urls[:MAX_URLS]:
        text.append(f"\n  {label:<{width}}  ", style="dim").append(urljoin(server, url), style="cyan underline")
    if len(urls) > MAX_URLS:
        text.append(f"\n  … and {len(urls) - MAX_URLS} more", style="dim")
    for file in [file for file in job.media if file.status == "left"][:MAX_URLS]:
        text.append(f"\n  not kept: {plain(file.source)} ({plain(file.error or '').rstrip('.')})", style="yellow")
    return text


def media(value: Any, path: str = "", own: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield every http(s) URL in a result, and every link in `own`, with its path, such as `images[0]` or `video`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from media(inner, path if name == "url" and path else f"{path}.{name}".lstrip("."), own)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from media(inner, f"{path}[{number}]", own)
    elif isinstance(value, str) and (value in own or value.startswith(("https://", "http://"))):
        yield plain(path), plain(value)


def plain(text: str) -> str:
    """Replace control and formatting characters: a log line must not move the cursor or rename the window."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in {"Cc", "Cf", "Cs"} else c for c in text)


def seconds_between(start: datetime | None, end: datetime | None) -> float:
    """Return the seconds from start to end, never negative: two machines' clocks may differ."""
    return 0.0 if start is None or end is None else max((end - start).total_seconds(), 0.0)


def duration(seconds: float) -> str:
    """Format a duration: `8.1 s`, `2:05`, `1:02:05`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size_words(count: int) -> str:
    """Format a number of bytes: `999 bytes`, `4.2 MB`."""
    if count < 1000:
        return f"{count} bytes"
    value, units = count / 1000, iter(("kB", "MB", "GB", "TB"))
    unit = next(units)
    for larger in units:
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.{1 if value < 9.95 else 0}f} {unit}"


def _row(*parts: ConsoleRenderable) -> Table:
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_row(*parts)
    return row


def _bar(done: float, expected: float | None) -> ConsoleRenderable:
    """Render the share of the expected time or bytes; a pulse once that is exceeded or unknown."""
    if not expected or done >= expected:
        return ProgressBar(width=BAR_WIDTH, pulse=True, pulse_style="cyan")
    return ProgressBar(total=expected, completed=done, width=BAR_WIDTH, complete_style="cyan")


def _time(elapsed: float, expected: float | None) -> Text:
    usual = (
        "" if not expected else f" of about {expected:.0f} s" if expected < 60 else f" of about {duration(expected)}"
    )
    return Text(f"{duration(elapsed)}{usual}", style="dim")
