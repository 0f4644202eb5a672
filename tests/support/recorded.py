"""An interest that notes which jobs are watched."""

from hookcast.push.interest import Interest


class Recorded(Interest):
    """Remembers who is watched, and that nothing is told twice."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []

    def tell(self, request_id: str, *, watched: bool) -> None:
        """Add it or take it away."""
        if watched:
            assert request_id not in self.jobs
            self.jobs.append(request_id)
        else:
            self.jobs.remove(request_id)
