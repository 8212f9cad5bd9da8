"""Every error a user can cause or must read, with the HTTP status that fits it.

`pointer` is a JSON pointer into what the user sent ("/sources/0/weight"); the same string names the field in
CLI messages.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FieldProblem:
    """One thing wrong with one field: where it is, what stood there, what would be right."""

    pointer: str
    value: object
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message} (got {self.value!r})"


class ForetasteError(Exception):
    """Something Foretaste can explain."""

    status = 500
    title = "Internal error"
    is_retryable = False  # whether another attempt may end otherwise though nobody has changed anything


class InvalidInputError(ForetasteError):
    """One or more fields cannot be accepted."""

    status = 422
    title = "Invalid input"

    def __init__(self, problems: Iterable[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type["InvalidInputError"], tuple[tuple[FieldProblem, ...]]]:
        """What a child process raises arrives whole."""
        return type(self), (self.problems,)

    @classmethod
    def at(cls, pointer: str, value: object, message: str) -> "InvalidInputError":
        """The common case: one field is wrong."""
        return cls([FieldProblem(pointer=pointer, value=value, message=message)])


class NotFoundError(ForetasteError):
    """What was asked for does not exist."""

    status = 404
    title = "Not found"


class ConflictError(ForetasteError):
    """What was asked for contradicts what is stored."""

    status = 409
    title = "Conflict"


class UnauthorizedError(ForetasteError):
    """A write without a valid API key."""

    status = 401
    title = "API key missing or unknown"


class LossDivergedError(ForetasteError):
    """The training loss stopped being a finite number."""

    title = "Loss diverged"

    def __init__(self, step: int, value: float) -> None:
        self.step, self.value = step, value
        super().__init__(f"the training loss became {value} at step {step}")


OUT_OF_MEMORY = "out of memory"  # begins every error that a smaller batch may help against
WHAT_HELPS = (
    "what would help: fewer batch_sequences or context_tokens in the protocol, a smaller vocabulary, fewer trainings "
    "at once (lanes), or a machine with more memory"
)


class TokensEndedError(ForetasteError):
    """The training stream holds fewer tokens than the run's steps need."""

    title = "Training tokens ended"

    def __init__(self, step: int, missing: int) -> None:
        self.step, self.missing = step, missing
        super().__init__(f"the training stream ended at step {step}: {missing:,} tokens are missing")


class CorpusChangedError(ForetasteError):
    """A corpus on disk is no longer the one that was registered."""

    status = 409
    title = "Corpus changed"


class SharedStoreError(ForetasteError):
    """The store that machines share cannot be reached, or holds what cannot be used now."""

    status = 503
    title = "Shared store not available"
    is_retryable = True


class DriverMissingError(SharedStoreError):
    """The package that speaks to the shared store is not installed on this machine."""

    is_retryable = False


class TokensDamagedError(ForetasteError):
    """Tokens in the shared store are damaged, and there is no text to make them from again."""

    status = 409
    title = "Tokens damaged"
