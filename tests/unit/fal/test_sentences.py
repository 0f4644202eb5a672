"""The sentence in an error body, wherever it is."""

from typing import Any

import pytest
from msgspec import Raw, json

from hookcast.fal.sentences import MAX_SENTENCE, UNKNOWN_REASON, sentence

NOTHING: list[Any] = [None, 7, True, [], {}, "", {"detail": ""}, {"images": [{"url": "https://x"}]}]
POOR = "Invalid status code: 422"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"detail": "prompt is too long"}, "prompt is too long"),
        ({"detail": ["prompt is too long"]}, "prompt is too long"),
        (
            {"detail": [{"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}]},
            "prompt: Field required",
        ),
        ({"detail": [{"loc": ["body", "loras", 0, "path"], "msg": "No URL"}]}, "loras.0.path: No URL"),
        ({"detail": [{"loc": ["body", "prompt"], "type": "missing"}]}, "prompt: missing"),
        ({"detail": {"message": "Prompt blocked"}}, "Prompt blocked"),
        ({"detail": {"error": {"msg": "Prompt blocked"}}}, "Prompt blocked"),
        ({"error": {"message": "Prompt blocked"}}, "Prompt blocked"),
        ({"error": "Prompt blocked"}, "Prompt blocked"),
        ({"errors": ["Prompt blocked"]}, "Prompt blocked"),
        ({"errors": [{"detail": "Prompt blocked"}]}, "Prompt blocked"),
        ({"errors": {"prompt": ["is too long"]}}, "prompt: is too long"),
        ({"prompt": ["This field is required."]}, "prompt: This field is required."),
        ({"errors": {"prompt": "is too long"}}, "prompt: is too long"),
        ({"detail": [{"prompt": "is too long"}]}, "prompt: is too long"),
        ({"errors": {"prompt": {"0": "is too long"}}}, "is too long"),
        ({"detail": [["prompt", "is too long"]]}, "is too long"),
        ({"error": {"text": "Prompt blocked"}}, "Prompt blocked"),
        ({"error": [{"content": "Prompt blocked"}]}, "Prompt blocked"),
        ({"message": {"en": "Prompt blocked", "de": "Abgelehnt"}}, "Prompt blocked"),
        ({"validationErrors": [{"field": "prompt", "hint": "提示词过长"}]}, "提示词过长"),
        ({"fault": {"faultstring": "Prompt blocked"}}, "Prompt blocked"),
        ({"error": {"code": "content_policy_violation", "request_id": "0190 af"}}, "content_policy_violation"),
        ({"error": {"code": "too_long", "url": "https://docs.example/a b"}}, "too_long"),
        ({"error": {"message": "Prompt blocked", "hint": "Use another one"}}, "Prompt blocked"),
        ({"error": "invalid", "message": "Prompt blocked"}, "Prompt blocked"),
        ({"detail": "invalid", "hint": 1}, "invalid"),
        ({"detail": [{"loc": ["body", "prompt"], "input": "a cat", "ctx": "a b"}]}, POOR),
        ({"default": "a cat on the moon"}, POOR),
        ({"message": "Error: Invalid status code: 422", "error": "Prompt blocked"}, "Prompt blocked"),
        ({"message": "Prompt blocked"}, "Prompt blocked"),
        ({"statusCode": 400, "error": "Bad Request", "message": ["Prompt blocked"]}, "Prompt blocked"),
        ({"error": "invalid_request", "error_description": "The key is bad"}, "The key is bad"),
        ({"errorMessage": "Prompt blocked", "stackTrace": []}, "Prompt blocked"),
        ({"failReason": "Prompt blocked"}, "Prompt blocked"),
        ({"data": {"result": {"error": "Prompt blocked"}}}, "Prompt blocked"),
        ({"response": '{"error": {"message": "Prompt blocked"}}'}, "Prompt blocked"),
        ({"error": {"code": "content_policy_violation", "message": None}}, "content_policy_violation"),
        ({"detail": None, "error": True, "message": "Prompt blocked"}, "Prompt blocked"),
        ("Prompt blocked", "Prompt blocked"),
        ('{"detail": "Prompt blocked"}', "Prompt blocked"),
        ({"detail": "two\nlines\tand\0 a NUL"}, "two lines and\ufffd a NUL"),
        ({"detail": "\x1b[1;31mOut of memory\x1b[0m on \x1b]8;;x\x07GPU"}, "Out of memory on GPU"),
        ({"detail": "Upstream said: <html><body>no</body></html>"}, "Upstream said:"),
        *((nothing, POOR) for nothing in NOTHING),
        *((page, POOR) for page in ("<html><p>Bad", {"detail": "<!DOCTYPE html><h1>502"}, "<center>nginx</center>")),
        ({"detail": None, "loc": ["a"]}, POOR),
        ({"detail": "Internal Server Error"}, "Internal Server Error"),
    ],
)
def test_the_sentence_is_found_wherever_it_is(body: Any, said: str) -> None:
    """As a parsed value, and as fal's bytes; a status code alone is the last thing to say."""
    assert sentence(body, POOR) == said
    assert sentence(Raw(json.encode(body)), POOR) == said


def test_a_webhooks_poor_error_gives_way_to_the_payloads_code() -> None:
    assert sentence(POOR, {"error": {"type": "content_policy_violation"}}) == "content_policy_violation"
    assert sentence("Unprocessable Entity", "The prompt was blocked.") == "The prompt was blocked."
    assert sentence(POOR, None) == POOR


def test_nothing_is_said_as_such() -> None:
    assert sentence(None, {}) == UNKNOWN_REASON
    assert sentence(otherwise="nothing") == "nothing"


def test_a_sentence_has_a_limit() -> None:
    """It is cut, and marked."""
    found = sentence({"detail": "word " * 500})
    assert (len(found), found[-1]) == (MAX_SENTENCE, "…")


@pytest.mark.parametrize(
    "wide", [{"a": [{"b": [1] * 1000}] * 1000}, [[[[[[[["deep"]]]]]]]], {"x" * 500: {"detail": "y"}}]
)
def test_a_payload_of_any_size_is_looked_through_in_bounds(wide: Any) -> None:
    """It ends, with some sentence."""
    assert sentence(wide, POOR)
