"""The formats by name, how each is recognised, and the one way in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from proxy.errors import FieldProblem, InvalidInputError
from proxy.importers.data_juicer import looks_like_data_juicer, read_data_juicer
from proxy.importers.datatrove import looks_like_datatrove, read_datatrove
from proxy.importers.dclm_dataset import looks_like_dclm_dataset, read_dclm_dataset
from proxy.importers.dclm_processing import looks_like_dclm_processing, read_dclm_processing
from proxy.importers.dolma import looks_like_dolma, read_dolma
from proxy.importers.job import Job
from proxy.importers.olmix import looks_like_olmix, read_olmix
from proxy.importers.reading import read_content, step_into
from proxy.importers.regmix import looks_like_regmix, read_regmix
from proxy.importers.report import ImportReport
from proxy.recipes import Recipe

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class Format:
    """Another system's way to write recipes down."""

    name: str
    looks_like: Callable[[Any], bool]
    read: Callable[[Job], list[dict[str, Any]]]


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format(name="regmix", looks_like=looks_like_regmix, read=read_regmix),
        Format(name="dclm-dataset", looks_like=looks_like_dclm_dataset, read=read_dclm_dataset),
        Format(name="dclm-processing", looks_like=looks_like_dclm_processing, read=read_dclm_processing),
        Format(name="olmix", looks_like=looks_like_olmix, read=read_olmix),
        Format(name="dolma", looks_like=looks_like_dolma, read=read_dolma),
        Format(name="data-juicer", looks_like=looks_like_data_juicer, read=read_data_juicer),
        Format(name="datatrove", looks_like=looks_like_datatrove, read=read_datatrove),
    )
}


def import_recipe(
    content: str | bytes, format: str = AUTO, corpora: Mapping[str, str] | None = None, name: str | None = None
) -> ImportReport:
    """Recipes of another system's file, and where every field of it went.

    `corpora` maps their names of data to ours; those that it leaves out keep their name, made valid. That the corpora
    exist is checked when a recipe is registered. InvalidInputError names the field of the file and its value.
    """
    parsed = read_content(content)
    chosen = _find_format(format, parsed)
    job = Job(parsed, corpora, name)
    recipes = tuple(_validated(spec) for spec in chosen.read(job))
    job.require_names_used()
    return ImportReport(
        format=chosen.name,
        recipes=recipes,
        carried=job.carried,
        approximate=tuple(job.approximations),
        not_carried=job.losses(),
        corpora=tuple(dict.fromkeys(corpus for recipe in recipes for corpus in recipe.corpora())),
    )


def _find_format(format: str, parsed: Any) -> Format:
    known = ", ".join(FORMATS)
    if format != AUTO:
        if format not in FORMATS:
            raise InvalidInputError.at("/format", format, f"is no format; known are {AUTO}, {known}")
        return FORMATS[format]
    found = [one for one in FORMATS.values() if one.looks_like(parsed)]
    if len(found) == 1:
        return found[0]
    start = list(parsed)[:20] if isinstance(parsed, dict) else f"a list of {len(parsed)}"
    if found:
        message = f"may be {' or '.join(one.name for one in found)}; say which"
    else:
        message = f"is in no format that is recognised; known are {known}"
    raise InvalidInputError.at("", start, message)


def _validated(spec: dict[str, Any]) -> Recipe:
    """What our model refuses of a recipe that was made of the file; the pointer leads into that recipe."""
    try:
        return Recipe.model_validate(spec)
    except ValidationError as error:
        raise InvalidInputError(
            FieldProblem(
                pointer="/recipe" + "".join(step_into("", part) for part in one["loc"] if "(" not in str(part)),
                value=one["input"],
                message=f"{one['msg']} (in the recipe made of the file)",
            )
            for one in error.errors(include_url=False)
        ) from error
