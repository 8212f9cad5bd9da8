"""A study's report as plain data: for each suite the tables, what the rate search chooses without references, every
recipe's numbers, and what it all cost. A study that still runs has a report too, of what is there, which says so."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.studies import StudyDefinition
from worker.agreement import compared_points
from worker.leaderboards import newest_leaderboard
from worker.references import points_of, recipe_key, rows_of
from worker.store.models import Leaderboard, Recipe, Reference, Study, Suite
from worker.store.states import State
from worker.studies.costs import costs_of, standing_of
from worker.studies.layout import Layout, is_of, layout_of_definition, layout_of_row
from worker.studies.searching import choose_rate
from worker.studies.set_scores import proxy_progress, proxy_sets, reference_sets, weigh
from worker.studies.sets import METRIC

if TYPE_CHECKING:
    from proxy.studies.tables import Point


def report_of_row(session: Session, row: Study) -> dict[str, Any]:
    """Of a study that was submitted, also while it runs. What failed for good is missing from it, and holds up no
    end."""
    report = build_report(session, layout_of_row(session, row))
    return {**report, "state": row.state, "error": row.error, "is_partial": row.state != State.FINISHED}


def report_of_definition(session: Session, definition: StudyDefinition) -> dict[str, Any]:
    """Of what a definition asks for, whoever trained it, also before there were rows of studies. InvalidInputError
    where nothing of it is registered yet."""
    named = select(Study).where(Study.name == definition.name).order_by(Study.created_at.desc(), Study.id)
    for row in session.scalars(named):
        if is_of(row, definition):
            return report_of_row(session, row)
    return build_report(session, layout_of_definition(session, definition))


def build_report(session: Session, layout: Layout) -> dict[str, Any]:
    """All that a report shows but the machine, which the service that trained does not know. `state` is None where no
    row of the study is."""
    progress = standing_of(session, layout)
    return {
        "study": layout.name,
        "description": layout.description,
        "state": None,
        "error": None,
        "recipes": [
            {"name": recipe.name, "description": recipe.description, "axis": recipe.axis, "kind": recipe.kind}
            for recipe in layout.recipes
        ],
        "shapes": layout.shapes(),
        "progress": progress,
        "is_partial": progress["is_partial"],
        "suites": [
            _suite(session, layout, suite, reference_set)
            for suite, reference_set in zip(layout.suites, layout.reference_sets, strict=True)
        ],
        "costs": costs_of(session, [*layout.ladder.values(), layout.reference]),
    }


def _suite(session: Session, layout: Layout, suite: Suite, reference_set: str) -> dict[str, Any]:
    from proxy.studies.tables import tabulate

    recipes = layout.rows
    rows = rows_of(session, reference_set, METRIC)
    boards = {rate: newest_leaderboard(session, protocol.id, suite.id) for rate, protocol in layout.ladder.items()}
    scores = {rate: _scores(board, layout) for rate, board in boards.items()}
    compared = {rate: _points(session, layout, board, rows) for rate, board in boards.items()}
    telling = {
        rate: {name: score for name, score in found.items() if name in layout.telling} for rate, found in scores.items()
    }
    table = tabulate(compared, telling).as_json()
    by_set = {rate: proxy_sets(board, layout) for rate, board in boards.items()}
    references = reference_sets(session, rows, suite, layout)
    progress = {rate: proxy_progress(session, one, suite, layout) for rate, one in layout.ladder.items()}
    search = choose_rate(session, suite, layout)
    return {
        "suite": suite.name,
        "reference_set": reference_set,
        "sets": [part["name"] for part in suite.spec["sets"]],
        "table": table,
        "weighing": weigh(suite, layout, by_set, references, table["standard"], progress),
        "search": search,
        "recipes": _recipe_rows(rows, recipes, scores),
        "set_scores": {
            "references": references,
            "proxies": {f"{rate:g}": found for rate, found in by_set.items()},
            "progress": {f"{rate:g}": found for rate, found in progress.items()},
        },
        "missing": {
            f"{rate:g}": sorted(name for name in recipes if found.get(name) is None) for rate, found in scores.items()
        },
    }


def _points(session: Session, layout: Layout, board: Leaderboard | None, rows: Sequence[Reference]) -> "list[Point]":
    """Recipes of the study that have both a rank and a reference, as the study names them."""
    from proxy.studies.tables import Point

    if board is None or not rows:
        return []
    about = {recipe.row.id: recipe for recipe in layout.recipes}
    names = ("proxy", "reference", "label", "proxy_error", "reference_error")
    return [
        Point(recipe=found.name, axis=found.axis, kind=found.kind, **{name: point[name] for name in names})
        for point in compared_points(session, board, rows)
        if (found := about.get(point["recipe_id"])) is not None
    ]


def _scores(board: Leaderboard | None, layout: Layout) -> dict[str, float | None]:
    """Of every recipe that was trained; None for one that broke, which has no rank."""
    if board is None:
        return {}
    names = {recipe.row.id: recipe.name for recipe in layout.recipes}
    return {
        names[entry["recipe"]["id"]]: None if entry["rank"] is None else entry["score"]
        for entry in board.body["entries"]
        if entry["recipe"]["id"] in names
    }


def _recipe_rows(
    rows: Sequence[Reference], recipes: dict[str, Recipe], scores: dict[float, dict[str, float | None]]
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
                    {
                        "rate": row.learning_rate,
                        "seed": row.seed,
                        "value": row.value,
                        "stopped": row.stopped_early,
                        "source": row.source,
                    }
                    for row in sorted(own, key=lambda row: (row.learning_rate or 0.0, row.seed or 0))
                ],
                "proxies": {f"{rate:g}": by_recipe.get(name) for rate, by_recipe in scores.items()},
            }
        )
    return sorted(found, key=lambda row: (math.inf if row["reference"] is None else row["reference"], row["recipe"]))
