"""GET /healthz: the process answers."""

from datetime import datetime

import pytest

from hookcast.app import utc_now
from support.server import Node

pytestmark = pytest.mark.anyio


async def test_the_answer_has_the_time_by_which_jobs_are_dated(node: Node) -> None:
    """To the millisecond, so that a page can compare its own clock with it."""
    before = utc_now()
    answer = (await node.client.get("/healthz")).json()
    assert answer["status"] == "ok"
    assert before <= datetime.fromisoformat(answer["now"]) <= utc_now()
