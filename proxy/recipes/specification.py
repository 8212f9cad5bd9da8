"""What every specification shares: recipes, suites, protocols and the bodies of the HTTP interface."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from proxy.errors import InvalidInputError

LARGEST_WEIGHT = 1e12  # weights are relative; a sum of them must stay a number

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Specification(BaseModel):
    """Immutable, and unknown keys are errors: a misspelt option must never be ignored silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def fault(pointer: str, value: object, message: str) -> PydanticCustomError:
    """For a model's validator to raise: wrong is what stands at `pointer` inside the model, not the model as such."""
    return PydanticCustomError("at", "{message}", {"pointer": pointer, "value": value, "message": message})


@contextmanager
def as_fault() -> Iterator[None]:
    """What a look-up refuses is a fault of the model that asked."""
    try:
        yield
    except InvalidInputError as error:
        first = error.problems[0]
        raise fault(first.pointer, first.value, first.message) from error
