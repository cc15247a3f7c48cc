"""Reading and checking what a client sends: request bodies and the simulator's own headers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, Strict, ValidationError

from recorder.simulator.runs import PROCESSOR_SECONDS, RunOutcome, Steering

OUTCOME_HEADER = "x-simulator-outcome"
SECONDS_HEADER = "x-simulator-seconds"
MAX_RUNS_PER_REQUEST = 1000

_MIXED = "mixed"
_MAX_SECONDS = 86_400 * 365


class InvalidRequestError(ValueError):
    """The request is invalid; `problems` is the `detail` of the upstream's 422 response."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


def _known_processor(processor: str) -> str:
    if processor not in PROCESSOR_SECONDS:
        raise ValueError(f"processor must be one of {', '.join(PROCESSOR_SECONDS)}")
    return processor


_Text = Annotated[str, Strict()]
_Scalar = (
    _Text
    | Annotated[bool, Strict()]
    | Annotated[int, Strict()]
    | Annotated[float, Strict(), Field(allow_inf_nan=False)]
)
_Metadata = dict[str, _Scalar]


class CreateGroup(BaseModel):
    """The body of a request to create a group."""

    metadata: _Metadata | None = None


class RunInput(BaseModel):
    """One run to add; members that have no effect on the simulation are ignored."""

    input: _Text | dict[str, Any]
    processor: Annotated[_Text, AfterValidator(_known_processor)]
    metadata: _Metadata | None = None


class AddRuns(BaseModel):
    """The body of a request to add runs to a group."""

    inputs: Annotated[list[RunInput], Field(min_length=1, max_length=MAX_RUNS_PER_REQUEST)]


_Model = TypeVar("_Model", bound=BaseModel)


def read_request_body(model: type[_Model], raw: bytes) -> _Model:
    """Parse and validate a request body.

    Raises:
        InvalidRequestError: the body is not JSON or does not match the model.
    """
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise InvalidRequestError(
            [
                {"loc": ["body", *problem["loc"]], "msg": problem["msg"], "type": problem["type"]}
                for problem in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def read_steering(headers: Mapping[str, str]) -> Steering:
    """Read the simulator's own headers; what they leave open is drawn at random.

    Raises:
        InvalidRequestError: a header has an invalid value.
    """
    return Steering(_outcome(headers.get(OUTCOME_HEADER, _MIXED)), _seconds(headers.get(SECONDS_HEADER)))


def _outcome(text: str) -> RunOutcome | None:
    if text == _MIXED:
        return None
    try:
        return RunOutcome(text)
    except ValueError:
        allowed = ", ".join([*RunOutcome, _MIXED])
        raise _header_error(OUTCOME_HEADER, f"must be one of {allowed}") from None


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _MAX_SECONDS:
        raise _header_error(SECONDS_HEADER, f"must be a number from 0 to {_MAX_SECONDS}")
    return seconds


def _header_error(name: str, message: str) -> InvalidRequestError:
    return InvalidRequestError([{"loc": ["header", name], "msg": message, "type": "value_error"}])
