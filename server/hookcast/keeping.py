"""Which files of results are kept; pure."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from msgspec import Raw

from hookcast.jobs import Job, MediaFile
from hookcast.media.files import files


def named_files(result: Raw) -> tuple[MediaFile, ...]:
    """Return the files that a result names, waiting to be copied."""
    return tuple(
        MediaFile(source=file.source, spots=file.spots, called_a_file=file.called_a_file)
        for file in files(bytes(result))
    )


class Keeping:
    """The jobs whose files are kept: `endpoints` are shell patterns of their endpoint ids; none = all."""

    def __init__(self, endpoints: Iterable[str] = ()) -> None:
        self._endpoints = tuple(endpoints)

    def wants(self, job: Job) -> bool:
        """Return whether the files of the job's result are kept: not when its submit said no."""
        if job.keep is not None and not job.keep:
            return False
        name = job.endpoint_id or ""
        return not self._endpoints or any(fnmatchcase(name, pattern) for pattern in self._endpoints)
