"""The part of a study that is about training, as a service takes it: everything in it is registered already but the
protocols, which follow from it."""

from pydantic import Field, model_validator

from proxy.recipes import Name, Specification
from proxy.recipes.specification import fault
from proxy.studies.definition import LEAST_RECIPES, NAME_CHARACTERS, Proxies, References


class StudyRecipe(Specification):
    """A registered recipe and its part in the study."""

    recipe: str = Field(min_length=1, description="name, fingerprint or id")
    name: Name | None = Field(default=None, description="in the study; default: the name that it is registered under")
    axis: str | None = Field(
        default=None, min_length=1, max_length=100, description="what the recipe varies; default: its tag axis"
    )
    kind: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="easy: nobody would train a large model on it; hard; default: its tag kind",
    )


class StudyRequest(Specification):
    """Registered recipes at every rate of a ladder, against the same recipes as swept references, on some suites."""

    name: Name = Field(max_length=NAME_CHARACTERS)
    description: str = Field(default="", max_length=2000)
    tokenizer: str = Field(min_length=1, description="name, fingerprint or id: of all models of the study")
    suites: tuple[str, ...] = Field(min_length=1, description="name (newest version), name@version, fingerprint or id")
    recipes: tuple[StudyRecipe, ...] = Field(description="in the order in which they are trained")
    proxies: Proxies
    references: References

    @model_validator(mode="after")
    def _has_recipes(self) -> "StudyRequest":
        if len(self.recipes) < LEAST_RECIPES:
            raise fault("/recipes", len(self.recipes), f"at least {LEAST_RECIPES} are needed: an order has pairs")
        return self

    def named(self, part: str) -> str:
        """What a protocol or reference set of this study is called."""
        return f"{self.name}-{part}"
