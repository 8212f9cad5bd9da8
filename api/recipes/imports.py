"""`POST /v1/recipes:import`: another system's recipe file in, recipes and an account of every field out."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from api.dependencies import PlainBody
from api.errors import json_safe
from api.recipes.schemas import RecipeOut
from proxy.errors import InvalidInputError
from proxy.importers import AUTO, ImportReport, Loss, import_recipe
from proxy.recipes import Name


class LossOut(BaseModel):
    """A field of the file, and why it has no counterpart, or how its counterpart differs."""

    pointer: str = Field(description="JSON pointer into the file")
    value: Any = Field(description="what stands there, shortened; NaN and infinities as strings")
    kind: str = Field(description="edit, model, list, meaning, unknown; training, evaluation, location, bookkeeping")
    reason: str


class ImportOut(BaseModel):
    """What became of a file. Each of its values lies at or below a pointer of `carried` or `not_carried`."""

    format: str
    recipes: list[dict[str, Any]] = Field(description="as `POST /v1/recipes` takes them")
    corpora: list[str] = Field(description="what must be registered before the recipes can be")
    carried: list[str]
    approximate: list[LossOut] = Field(description="what was carried and differs, and how")
    not_carried: list[LossOut]
    registered: list[RecipeOut] = Field(description="the stored recipes; none without `register`")


async def imported(
    body: PlainBody,
    format: Annotated[str, Query(description=f"the file's format, or {AUTO}")] = AUTO,
    corpus: Annotated[list[str] | None, Query(description="theirs=ours; repeatable")] = None,
    name: Annotated[Name | None, Query(description="of the recipe; else the file's own")] = None,
) -> ImportReport:
    """The report; parsed off the event loop and before a connection is held, for it may take seconds."""
    return await run_in_threadpool(import_recipe, body, format, read_corpora(corpus or ()), name)


def read_corpora(pairs: Sequence[str], pointer: str = "/corpus") -> dict[str, str]:
    """theirs=ours pairs; the last equals sign counts, for theirs may have some."""
    found: dict[str, str] = {}
    for pair in pairs:
        theirs, sign, ours = pair.rpartition("=")
        if not (theirs and sign and ours):
            raise InvalidInputError.at(pointer, pair, "must be their name of the data, an equals sign, and ours")
        if found.setdefault(theirs, ours) != ours:
            raise InvalidInputError.at(pointer, pair, f"{theirs!r} is called {found[theirs]!r} already")
    return found


def show_import(report: ImportReport, registered: Sequence[RecipeOut] = ()) -> ImportOut:
    """A report as people and programs see it."""
    return ImportOut(
        format=report.format,
        recipes=report.specifications(),
        corpora=list(report.corpora),
        carried=list(report.carried),
        approximate=[_show(loss) for loss in report.approximate],
        not_carried=[_show(loss) for loss in report.not_carried],
        registered=list(registered),
    )


def _show(loss: Loss) -> LossOut:
    return LossOut(pointer=loss.pointer, value=json_safe(loss.value), kind=loss.kind, reason=loss.reason)


Imported = Annotated[ImportReport, Depends(imported)]
