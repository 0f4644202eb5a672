"""What a developer may ask of the emulator inside the model input, under `_emulator`; pure.

`{"_emulator": {"faults": ["model_error", "webhook_late"], "seconds": 5, "speed": 10}}`
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from hookcast.errors import InvalidRequest


class Fault(StrEnum):
    """One thing that goes wrong (or happens early, late, twice) with a job or its webhook."""

    MODEL_ERROR = "model_error"
    INFRASTRUCTURE_ERROR = "infrastructure_error"
    PAYLOAD_ERROR = "payload_error"
    BIG_RESULT = "big_result"
    WEBHOOK_LOST = "webhook_lost"
    WEBHOOK_THRICE = "webhook_thrice"
    WEBHOOK_FIRST = "webhook_first"
    WEBHOOK_LATE = "webhook_late"
    UNKNOWN_KEY = "unknown_key"
    OLD_TIMESTAMP = "old_timestamp"


_EXCLUSIVE = (
    frozenset({Fault.MODEL_ERROR, Fault.INFRASTRUCTURE_ERROR, Fault.PAYLOAD_ERROR}),
    frozenset({Fault.WEBHOOK_LOST, Fault.WEBHOOK_FIRST, Fault.WEBHOOK_LATE}),
)

Detail: TypeAlias = dict[str, str | list[str | int]]

Seconds = Annotated[float, Meta(ge=0, le=3600)]
Speed = Annotated[float, Meta(ge=0.01, le=10_000)]


class Wishes(Struct, frozen=True):
    """The faults asked for; `seconds` is the delay of `webhook_late`, `speed` replaces the emulator's own."""

    faults: frozenset[Fault] = frozenset()
    seconds: float = 5.0
    speed: float | None = None


class ModelInput(Struct, frozen=True):
    """What the emulator reads of a model input: the prompt as it came, and the wishes."""

    prompt: Raw
    wishes: Wishes


class InputRefused(InvalidRequest):
    """A model input that is refused as fal's models do it: 422 with `detail`, a list of `{loc, msg, type}`."""

    def __init__(self, message: str, *, loc: list[str | int], kind: str = "value_error") -> None:
        super().__init__(message)
        self.detail: list[Detail] = [{"loc": loc, "msg": message, "type": kind}]


class _Options(Struct, forbid_unknown_fields=True):
    faults: list[str] = []
    seconds: Seconds = 5.0
    speed: Speed | None = None


def read_input(body: bytes) -> ModelInput:
    """Read a submit's body.

    Raises InputRefused when it is no JSON object, or asks for something the emulator does not know.
    """
    try:
        body.decode()  # msgspec does not look into what it keeps raw
        fields = msgspec.json.decode(body, type=dict[str, Raw])
    except msgspec.ValidationError:
        raise InputRefused("Input should be a valid dictionary", loc=["body"], kind="dict_type") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InputRefused("JSON decode error", loc=["body", 0], kind="json_invalid") from None
    prompt = Raw(bytes(fields.get("prompt", Raw(b"null"))))
    return ModelInput(prompt=prompt, wishes=_wishes(fields.get("_emulator")))


def _wishes(raw: Raw | None) -> Wishes:
    if raw is None:
        return Wishes()
    try:
        options = msgspec.json.decode(raw, type=_Options)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputRefused(str(error), loc=["body", "_emulator"]) from None
    faults = frozenset(_fault(name, place) for place, name in enumerate(options.faults))
    for group in _EXCLUSIVE:
        if len(faults & group) > 1:
            names = " and ".join(sorted(faults & group))
            raise InputRefused(f"The faults {names} cannot be combined.", loc=["body", "_emulator", "faults"])
    return Wishes(faults=faults, seconds=options.seconds, speed=options.speed)


def _fault(name: str, place: int) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        message = f"There is no fault {name!r}. The faults are: {', '.join(Fault)}."
        raise InputRefused(message, loc=["body", "_emulator", "faults", place], kind="enum") from None
