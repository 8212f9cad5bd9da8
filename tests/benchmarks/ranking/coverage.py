"""What the intervals and claims promise, against simulated truth. Every draw comes from seeded generators.

`python -m tests.benchmarks.ranking.coverage` prints the rows.

Axes: R recipes, S seeds, D documents.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from proxy.ranking.agreement import measure_agreement
from proxy.ranking.evidence import Digest, Evidence, Float64Array, RecipeDigest, RecipeEvidence, SetDigest, SetEvidence
from proxy.ranking.ranks import resolve_pairs
from proxy.ranking.uncertainty import (
    Documents,
    NoiseModel,
    half_widths,
    measure_noise,
    noise_of_digest,
    spread_of_differences,
)
from tests.benchmarks.figures import Row, at_least, at_most

LEAST_COVERAGE = 0.93
SHAPES = [(recipes, seeds) for recipes in (6, 12, 23) for seeds in (2, 3, 5)]
LOG_SD = 0.3  # of the recipes' seed noise where it is unequal
BOARDS = 1000

SOURCES, CHUNKS = {"a": (25, 0.4), "b": (40, 0.6)}, 3  # sources and share of each set; documents of a source
# Bits per byte: what a source adds under one recipe, what a run adds to all documents, and to each document.
SOURCE_SD, COMMON_SD, RUN_SD, DOCUMENT_SD = 0.02, 0.01, 0.005, 0.04

NULL_BOARDS, NULL_RECIPES = 2000, 20

PAIRS, RESAMPLES = 2000, 500
FIGURES = ("spearman", "kendall", "pearson", "decision_accuracy")


def measure() -> list[Row]:
    """Figures 1 to 3: coverage of pairs, family-wise false claims, coverage of agreement."""
    return [*pair_coverage(), *false_claims(), *agreement_coverage()]


def pair_coverage() -> Iterator[Row]:
    """Of 95 % intervals of differences, documents clustered in sources; one board serves both estimands."""
    for recipes, seeds in SHAPES:
        for log_sd in (0.0, LOG_SD):
            rng = np.random.default_rng([1, recipes, seeds, int(10 * log_sd)])
            shares: dict[Documents, list[float]] = {"fixed": [], "random": []}
            for _ in range(BOARDS):
                board = draw_board(recipes, seeds, log_sd, rng)
                noise = measure_noise(board.evidence)
                shares["fixed"].append(share_covered(noise, "fixed", board.here_R))
                shares["random"].append(share_covered(noise, "random", np.zeros(recipes)))
            kind = "unequal" if log_sd else "equal"
            for documents, covered in shares.items():
                name = f"pair coverage, R = {recipes}, S = {seeds}, {kind} seed noise, documents {documents}"
                yield at_least(name, float(np.mean(covered)), LEAST_COVERAGE)


@dataclass(frozen=True, kw_only=True)
class Board:
    """`here_R`: true scores on these very documents; on new ones all recipes are equal."""

    evidence: Evidence
    here_R: Float64Array


def draw_board(recipes: int, seeds: int, log_sd: float, rng: np.random.Generator) -> Board:
    """Recipes that are equal on average over sources and differ on each source; documents of unequal length."""
    own_R11 = RUN_SD * np.exp(log_sd * rng.standard_normal((recipes, 1, 1)))
    run_RS1 = COMMON_SD * rng.standard_normal((1, seeds, 1)) + own_R11 * rng.standard_normal((recipes, seeds, 1))
    here_R = np.zeros(recipes)
    nats: list[dict[str, Float64Array]] = [{} for _ in range(recipes)]
    sets = []
    for name, (sources, share) in SOURCES.items():
        clusters_D = np.repeat(np.arange(sources), CHUNKS)
        bytes_D = rng.integers(500, 4000, sources * CHUNKS)
        source_RD = SOURCE_SD * rng.standard_normal((recipes, sources))[:, clusters_D]
        here_R += share * (source_RD @ bytes_D) / bytes_D.sum()
        difficulty_D = 1 + 0.2 * rng.standard_normal(sources)[clusters_D]
        noise_RSD = DOCUMENT_SD * rng.standard_normal((recipes, seeds, sources * CHUNKS))
        rate_RSD = difficulty_D + source_RD[:, None, :] + run_RS1 + noise_RSD
        for losses, rate_SD in zip(nats, rate_RSD, strict=True):
            losses[name] = math.log(2) * bytes_D * rate_SD
        sets.append(SetEvidence(name=name, share=share, text_bytes=bytes_D, clusters=clusters_D))
    entries = (
        RecipeEvidence(recipe=f"recipe-{index}", seeds=tuple(range(seeds)), nats=losses)
        for index, losses in enumerate(nats)
    )
    return Board(evidence=Evidence(sets=tuple(sets), recipes=tuple(entries)), here_R=here_R)


def share_covered(noise: NoiseModel, documents: Documents, truth_R: Float64Array) -> float:
    """Share of the pairs whose interval holds the true difference."""
    spread = spread_of_differences(noise, documents)
    assert spread is not None
    error_R = noise.mean_R - truth_R
    is_inside_RR = np.abs(error_R[:, None] - error_R[None, :]) <= half_widths(spread, 0.95)
    return float(is_inside_RR[np.triu_indices(len(error_R), 1)].mean())


def false_claims() -> Iterator[Row]:
    """Share of leaderboards of one recipe's replicates on which any pair is resolved."""
    most = 0.05 + 2 * math.sqrt(0.05 * 0.95 / NULL_BOARDS)
    for seeds in (2, 3, 5):
        rng = np.random.default_rng([2, seeds])
        claims = sum(makes_a_claim(draw_replicates(seeds, rng)) for _ in range(NULL_BOARDS))
        name = f"false claims, {NULL_BOARDS} leaderboards of {NULL_RECIPES} replicates, S = {seeds}"
        yield at_most(name, claims / NULL_BOARDS, most)


def draw_replicates(seeds: int, rng: np.random.Generator) -> Digest:
    """Runs that differ by chance alone; each seed also moves all of them."""
    scores_RS = 1 + COMMON_SD * rng.standard_normal(seeds) + RUN_SD * rng.standard_normal((NULL_RECIPES, seeds))
    recipes = (
        RecipeDigest(
            recipe=f"replicate-{index}",
            seeds=tuple(range(seeds)),
            scores={"a": scores_S},
            document_variances={"a": 0.0},
            seed_by_document={"a": 0.0},
        )
        for index, scores_S in enumerate(scores_RS)
    )
    return Digest(sets=(SetDigest(name="a", share=1.0, clusters=1),), recipes=tuple(recipes))


def makes_a_claim(digest: Digest) -> bool:
    """Whether any pair is resolved."""
    noise = noise_of_digest(digest)
    resolved = resolve_pairs(noise.mean_R[:, None] - noise.mean_R[None, :], noise, "fixed", 0.95)
    return bool(resolved is not None and resolved.any())


def agreement_coverage() -> Iterator[Row]:
    """Of 95 % intervals over normal pairs; the truth of each figure follows from their correlation ρ."""
    for n in (6, 12, 23):
        for rho in (0.6, 0.9, 0.97):
            rng = np.random.default_rng([3, n, int(100 * rho)])
            kendall = 2 / math.pi * math.asin(rho)
            truths = (6 / math.pi * math.asin(rho / 2), kendall, rho, (1 + kendall) / 2)
            covered = np.mean([covers_agreement(n, rho, truths, rng) for _ in range(PAIRS)], axis=0)
            for figure, share in zip(FIGURES, covered, strict=True):
                yield at_least(f"coverage of {figure}, n = {n}, ρ = {rho}", float(share), LEAST_COVERAGE)


def covers_agreement(n: int, rho: float, truths: tuple[float, ...], rng: np.random.Generator) -> list[bool]:
    """Whether each figure's interval from n recipes holds its truth."""
    proxy_N = rng.standard_normal(n)
    reference_N = rho * proxy_N + math.sqrt(1 - rho**2) * rng.standard_normal(n)
    found = vars(measure_agreement(proxy_N, reference_N, "lower", rng, resamples=RESAMPLES))
    return [
        found[f"{figure}_low"] <= truth <= found[f"{figure}_high"]
        for figure, truth in zip(FIGURES, truths, strict=True)
    ]


if __name__ == "__main__":
    for row in measure():
        print(row["holds"], row["value"], row["must"], row["figure"], sep="\t", flush=True)
