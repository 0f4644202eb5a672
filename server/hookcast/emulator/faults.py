"""Emulator options that a model input carries under `_emulator`; pure.

`{"_emulator": {"faults": ["model_error", "webhook_late"], "seconds": 5, "speed": 10, "files": [{"fault": "cut"}]}}`
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from hookcast.emulator.files import MAX_FILES, FileWish, WrongFile, check_files
from hookcast.errors import InvalidRequest


class Fault(StrEnum):
    """A simulated failure of a job or its webhook, or a webhook sent early, late or repeatedly."""

    MODEL_ERROR = "model_error"
    INFRASTRUCTURE_ERROR = "infrastructure_error"
    PAYLOAD_ERROR = "payload_error"
    PROMPT_BLOCKED = "prompt_blocked"
    RUNNER_LOST = "runner_lost"
    BINARY_RESULT = "binary_result"
    UNKNOWN_REQUEST = "unknown_request"
    BIG_RESULT = "big_result"
    RESPONSE_SUFFIX = "response_suffix"
    NO_STREAM = "no_stream"
    ODD_STATUS = "odd_status"
    WEBHOOK_LOST = "webhook_lost"
    WEBHOOK_THRICE = "webhook_thrice"
    WEBHOOK_FIRST = "webhook_first"
    WEBHOOK_LATE = "webhook_late"
    UNKNOWN_KEY = "unknown_key"
    OLD_TIMESTAMP = "old_timestamp"


_EXCLUSIVE = (
    frozenset(
        {
            Fault.MODEL_ERROR,
            Fault.INFRASTRUCTURE_ERROR,
            Fault.PAYLOAD_ERROR,
            Fault.PROMPT_BLOCKED,
            Fault.RUNNER_LOST,
            Fault.BINARY_RESULT,
            Fault.UNKNOWN_REQUEST,
        }
    ),
    frozenset({Fault.WEBHOOK_LOST, Fault.WEBHOOK_FIRST, Fault.WEBHOOK_LATE}),
)

Detail: TypeAlias = dict[str, str | list[str | int]]

Seconds = Annotated[float, Meta(ge=0, le=3600)]
Speed = Annotated[float, Meta(ge=0.01, le=10_000)]
Files = Annotated[list[FileWish], Meta(max_length=MAX_FILES)]


class Wishes(Struct, frozen=True):
    """The requested faults; `seconds` is the delay of `webhook_late`, `speed` overrides the emulator's.

    `once`: only the first request with this input has the faults.

    `files` are the files of the result; empty for the one file that the endpoint makes.
    """

    faults: frozenset[Fault] = frozenset()
    seconds: float = 5.0
    speed: float | None = None
    once: bool = False
    files: tuple[FileWish, ...] = ()


class ModelInput(Struct, frozen=True):
    """The parts of a model input that the emulator uses: the prompt, unparsed, and the options."""

    prompt: Raw
    wishes: Wishes


class InputRefused(InvalidRequest):
    """A model input rejected as fal's models do: 422 with `detail`, a list of `{loc, msg, type}`."""

    def __init__(self, message: str, *, loc: list[str | int], kind: str = "value_error") -> None:
        super().__init__(message)
        self.detail: list[Detail] = [{"loc": loc, "msg": message, "type": kind}]


class _Options(Struct, forbid_unknown_fields=True):
    faults: list[str] = []
    seconds: Seconds = 5.0
    speed: Speed | None = None
    once: bool = False
    files: Files = []


def read_input(body: bytes) -> ModelInput:
    """Parse the body of a submit.

    Raises InputRefused when it is not a JSON object, or names an option the emulator does not know.
    """
    try:
        body.decode()  # msgspec does not validate UTF-8 in Raw fields
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
    try:
        check_files(options.files)
    except WrongFile as error:
        raise InputRefused(str(error), loc=["body", "_emulator", *error.loc]) from None
    return Wishes(
        faults=faults,
        seconds=options.seconds,
        speed=options.speed,
        once=options.once,
        files=tuple(options.files),
    )


def _fault(name: str, place: int) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        message = f"There is no fault {name!r}. The faults are: {', '.join(Fault)}."
        raise InputRefused(message, loc=["body", "_emulator", "faults", place], kind="enum") from None
