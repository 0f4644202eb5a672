"""What may stand under `_emulator` in a model input."""

import json

import pytest

from hookcast.emulator.faults import Fault, InputRefused, Wishes, read_input


def _refusal(body: bytes) -> InputRefused:
    with pytest.raises(InputRefused) as caught:
        read_input(body)
    return caught.value


def test_plain_input_asks_for_nothing() -> None:
    """An input without `_emulator` gets the normal timeline."""
    assert read_input(b'{"prompt": "a cat", "seed": 7}').wishes == Wishes()


def test_prompt_is_kept_as_it_came() -> None:
    """The prompt may be any JSON, and its digits stay."""
    assert bytes(read_input(b'{"prompt": [12345678901234567890]}').prompt) == b"[12345678901234567890]"


def test_faults_seconds_and_speed_are_read() -> None:
    """Several faults may be asked for, with a delay and a speed of one's own."""
    body = {"_emulator": {"faults": ["model_error", "webhook_late"], "seconds": 2, "speed": 10}}
    wishes = read_input(json.dumps(body).encode()).wishes
    assert wishes == Wishes(frozenset({Fault.MODEL_ERROR, Fault.WEBHOOK_LATE}), seconds=2.0, speed=10.0)


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b'{"a": "\xff"}', b'{"a": ' + b"[" * 100_000])
def test_broken_json_is_refused(body: bytes) -> None:
    """What is no JSON gets fal's words for it."""
    assert _refusal(body).detail == [{"loc": ["body", 0], "msg": "JSON decode error", "type": "json_invalid"}]


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"null", b"1"])
def test_other_json_than_an_object_is_refused(body: bytes) -> None:
    """A model input is an object."""
    assert _refusal(body).detail[0]["type"] == "dict_type"


def test_unknown_fault_is_refused_with_all_names() -> None:
    """A misspelt fault is answered with its place and the names there are."""
    detail = _refusal(b'{"_emulator": {"faults": ["model_error", "nonsense"]}}').detail[0]
    assert detail["loc"] == ["body", "_emulator", "faults", 1]
    assert all(name in str(detail["msg"]) for name in Fault)


@pytest.mark.parametrize(
    "options", [{"faults": "model_error"}, {"seconds": -1}, {"speed": 0}, {"fault": ["model_error"]}, [], "slow"]
)
def test_malformed_wishes_are_refused(options: object) -> None:
    """A wish of the wrong shape, range or name is not silently ignored."""
    assert _refusal(json.dumps({"_emulator": options}).encode()).detail[0]["loc"] == ["body", "_emulator"]


@pytest.mark.parametrize(
    "faults", [["model_error", "payload_error"], ["webhook_lost", "webhook_first"], ["webhook_first", "webhook_late"]]
)
def test_faults_that_contradict_each_other_are_refused(faults: list[str]) -> None:
    """Two faults that cannot both happen are named in the refusal."""
    message = str(_refusal(json.dumps({"_emulator": {"faults": faults}}).encode()))
    assert all(fault in message for fault in faults)
