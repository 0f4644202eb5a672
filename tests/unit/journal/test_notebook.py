"""Lines that wait to be written."""

from datetime import UTC, datetime

from hookcast.journal import Event, Notebook
from hookcast.journal.lines import MAX_TEXT
from hookcast.journal.notebook import MAX_LINES

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def test_a_line_has_the_time_and_the_facts_that_are_known() -> None:
    notebook = Notebook(lambda: NOW)
    notebook.note("job-1", Event.SUBMITTED, by="key:abc", idempotency_key=None, queue_position=3)
    assert notebook.take(10) == [("job-1", Event.SUBMITTED, NOW, {"by": "key:abc", "queuePosition": 3})]
    assert notebook.take(10) == []


def test_a_long_text_is_cut() -> None:
    notebook = Notebook(lambda: NOW)
    notebook.note("job-1", Event.ASKED, answer="x" * 1000)
    [line] = notebook.take(10)
    assert len(line.facts["answer"]) == MAX_TEXT


def test_what_is_noted_once_is_noted_once_per_subject() -> None:
    notebook = Notebook(lambda: NOW)
    for transport in ("sse", "sse", "websocket"):
        notebook.note_once("job-1", Event.WATCHED, transport, transport=transport)
    assert [line.facts["transport"] for line in notebook.take(10)] == ["sse", "websocket"]


def test_lines_beyond_the_room_are_counted_and_the_older_ones_kept() -> None:
    notebook = Notebook(lambda: NOW)
    for number in range(MAX_LINES + 5):
        notebook.note(f"job-{number}", Event.WATCHED)
    taken = notebook.take(100)
    assert (taken[0].request_id, notebook.dropped) == ("job-0", 5)
    for number in range(60):
        notebook.note(f"later-{number}", Event.WATCHED)
    notebook.put_back(taken)
    assert (len(notebook), notebook.dropped) == (MAX_LINES, 65)
    assert notebook.take(1)[0].request_id == "job-0"
