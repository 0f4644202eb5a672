"""fal's queue with jobs that run until a webhook ends them; records which nodes read their status streams."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

GAP_SECONDS = 0.5


class Upstreams:
    """`answer` handles a falhost's requests. The first part of the path is the requesting node's name."""

    def __init__(self) -> None:
        self.readers: dict[str, list[str]] = defaultdict(list)  # by job: the nodes reading its stream now
        self.opened = 0
        self.most = 0  # concurrent streams of one job, at most
        self.polls = 0

    async def answer(self, request: Request) -> Response:
        """Respond to a node's request about a job."""
        node, _, rest = request.url.path.removeprefix("/").partition("/")
        name, _, what = rest.partition("/requests/")[2].partition("/")
        if what == "status/stream":
            return StreamingResponse(self._stream(name, node), media_type="text/event-stream")
        self.polls += 1
        return JSONResponse({"status": "IN_QUEUE", "queue_position": 0})

    def followed_by_one(self, names: list[str], *, without: str = "") -> bool:
        """Return whether each job's stream has exactly one reader, not counting the node `without`."""
        return all(sum(node != without for node in self.readers[name]) == 1 for name in names)

    def busiest(self) -> str:
        """Return the node that reads most streams."""
        return Counter(node for readers in self.readers.values() for node in readers).most_common(1)[0][0]

    async def _stream(self, name: str, node: str) -> AsyncIterator[str]:
        readers = self.readers[name]
        readers.append(node)
        self.opened += 1
        self.most = max(self.most, len(readers))
        try:
            position = 1000
            while True:
                status = {"status": "IN_QUEUE", "queue_position": position}
                yield f"data: {json.dumps(status)}\n\n"
                position -= 1
                await asyncio.sleep(GAP_SECONDS)
        finally:
            readers.remove(node)
