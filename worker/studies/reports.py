"""A study's report as plain data: for each suite the tables, what the rate search chooses without references, every
recipe's numbers, and what it all cost. A study that still runs has a report too, of what is there, which says so."""

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from proxy.studies import StudyDefinition
from proxy.studies.definition import AXIS, KIND
from worker.agreement import compared_points
from worker.leaderboards import newest_leaderboard
from worker.protocols import find_protocol
from worker.recipes import find_recipe
from worker.references import points_of, recipe_key, rows_of
from worker.store.models import Leaderboard, Protocol, Recipe, Reference, Suite
from worker.studies.costs import costs_of, progress_of
from worker.studies.searching import choose_rate
from worker.suites import find_suite

METRIC = "bits_per_byte"


def build_report(session: Session, definition: StudyDefinition) -> dict[str, Any]:
    """NotFoundError where nothing of the study is registered yet."""
    ladder = {rate: _protocol(session, definition, f"proxy-at-{rate:g}") for rate in definition.proxies.rates}
    reference = _protocol(session, definition, "reference")
    recipes = {recipe.name: find_recipe(session, recipe.name) for recipe in definition.recipes}
    progress = progress_of(session, definition, ladder, reference, recipes)
    return {
        "study": definition.name,
        "description": definition.description,
        "recipes": [
            {
                "name": recipe.name,
                "description": recipe.description,
                "axis": recipe.tags[AXIS],
                "kind": recipe.tags.get(KIND),
            }
            for recipe in definition.recipes
        ],
        "shapes": _shapes(definition),
        "progress": progress,
        "is_partial": progress["is_partial"],
        "suites": [
            _suite(session, definition, find_suite(session, definition.named(suite.name)), ladder, recipes)
            for suite in definition.suites
        ],
        "costs": costs_of(session, [*ladder.values(), reference]),
    }


def _protocol(session: Session, definition: StudyDefinition, part: str) -> Protocol:
    return find_protocol(session, definition.named(part))


def _shapes(definition: StudyDefinition) -> dict[str, Any]:
    found = {}
    for name, part in (("proxies", definition.proxies), ("references", definition.references)):
        protocol = part.resolved(definition.vocabulary)
        found[name] = {
            "parameters": protocol.architecture.parameters,
            "tokens": protocol.token_budget,
            "steps": protocol.steps,
            "batch_tokens": protocol.batch_tokens,
            "schedule": protocol.schedule.kind,
            "rates": list(part.rates),
            "seeds": part.seeds,
        }
    return found


def _suite(
    session: Session,
    definition: StudyDefinition,
    suite: Suite,
    ladder: dict[float, Protocol],
    recipes: dict[str, Recipe],
) -> dict[str, Any]:
    from proxy.studies.tables import Point, tabulate

    rows = rows_of(session, suite.name, METRIC)
    boards = {rate: newest_leaderboard(session, protocol.id, suite.id) for rate, protocol in ladder.items()}
    scores = {rate: _scores(board, recipes) for rate, board in boards.items()}
    names = set(Point.__dataclass_fields__)
    compared = {
        rate: [
            Point(**{name: value for name, value in point.items() if name in names})
            for point in (compared_points(session, board, rows) if board and rows else [])
            if point["recipe"] in recipes
        ]
        for rate, board in boards.items()
    }
    table = tabulate(compared, scores).as_json()
    search = choose_rate(session, definition, suite, ladder, recipes)
    return {
        "suite": suite.name,
        "sets": [part["name"] for part in suite.spec["sets"]],
        "table": table,
        "search": search,
        "recipes": _recipe_rows(rows, recipes, scores),
        "missing": {f"{rate:g}": sorted(set(recipes) - set(found)) for rate, found in scores.items()},
    }


def _scores(board: Leaderboard | None, recipes: dict[str, Recipe]) -> dict[str, float]:
    """Of every recipe that has a rank."""
    if board is None:
        return {}
    entries = [entry for entry in board.body["entries"] if entry["rank"] is not None]
    return {entry["recipe"]["name"]: entry["score"] for entry in entries if entry["recipe"]["name"] in recipes}


def _recipe_rows(
    rows: Sequence[Reference], recipes: dict[str, Recipe], scores: dict[float, dict[str, float]]
) -> list[dict[str, Any]]:
    """Best reference first; those without one last, by name."""
    from proxy.ranking.reference_noise import errors_of_best
    from proxy.ranking.tuning import label_sweeps

    points = points_of(rows)
    labels = label_sweeps(points, "lower") if points else {}
    errors = errors_of_best(points, labels)
    found = []
    for name, recipe in recipes.items():
        label = labels.get(recipe.id)
        own = [row for row in rows if recipe_key(row) == recipe.id]
        found.append(
            {
                "recipe": name,
                "reference": label.best_value if label else None,
                "reference_error": errors.get(recipe.id),
                "label": str(label.label) if label else None,
                "best_rate": label.best_learning_rate if label else None,
                "sweep": [
                    {"rate": row.learning_rate, "seed": row.seed, "value": row.value, "stopped": row.stopped_early}
                    for row in sorted(own, key=lambda row: (row.learning_rate or 0.0, row.seed or 0))
                ],
                "proxies": {f"{rate:g}": by_recipe.get(name) for rate, by_recipe in scores.items()},
            }
        )
    return sorted(found, key=lambda row: (math.inf if row["reference"] is None else row["reference"], row["recipe"]))
