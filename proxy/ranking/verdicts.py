"""The verdict on a pair of recipes: decide, more seeds, or undecidable under this protocol.

**Decide** needs a calibration: P at target scale of at least .95, or an expected regret under a stated tolerance. Proxy
scores alone never decide, however well resolved: without references nobody knows what they are worth at scale, and the
verdict then speaks of the proxy scale only and says so. **More seeds**: the proxy difference is unresolved and the
seeds that would resolve it are within a stated limit. They are counted as if the difference stayed what it is, which
it will not: half of such plans fall short. Resolving the proxy difference need not settle the target either.

Assumed: one pair, picked before its scores were seen (a leaderboard's claims are simultaneous, in ranks.py).
Differences and variances of proxy scores in bits per byte, A − B, lower is better.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar

import numpy as np

from proxy.errors import InvalidInputError
from proxy.ranking.calibration import LEAST_CALIBRANTS
from proxy.ranking.targets import TargetChance

LEVEL = 0.95
MOST_SEEDS = 10_000  # more is the same as never
LEAST_SEEDS = 2  # one says nothing of noise

T = TypeVar("T")


class Verdict(StrEnum):
    """What to do next about a pair."""

    DECIDE = "decide"
    MORE_SEEDS = "more seeds"
    UNDECIDABLE = "undecidable under this protocol"


@dataclass(frozen=True, kw_only=True)
class ProxyDifference:
    """`difference` ± t(`degrees`) · `standard_error` of A − B; both None where the noise is unknown.

    `run_variances`: seed variance of one run of A and of B. `document_variance`: the part that no seed removes.
    """

    a: str
    b: str
    difference: float
    standard_error: float | None
    degrees: float | None
    seeds: tuple[int, int]
    run_variances: tuple[float, float] | None
    document_variance: float = 0.0

    @property
    def half_width(self) -> float | None:
        """Of the 95 % interval."""
        from scipy.special import stdtrit

        if self.standard_error is None or self.degrees is None:
            return None
        return float(stdtrit(self.degrees, (1 + LEVEL) / 2)) * self.standard_error

    @property
    def is_resolved(self) -> bool:
        """The 95 % interval leaves zero out; False where there is none."""
        return self.half_width is not None and abs(self.difference) > self.half_width


@dataclass(frozen=True, kw_only=True)
class Stakes:
    """What the people who ask can live with. `tolerance`: an average loss in the reference's unit, None for no such
    escape; `seed_limit`: the most seeds a recipe they would pay for; `unit` is printed after regrets.
    """

    tolerance: float | None = None
    seed_limit: int = 5
    unit: str = "units of the reference"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`choice`: the recipe to take, None unless decided, or where either will do. `seeds_needed`: seeds a recipe in all
    to resolve the proxy difference, also where they are too many (2 where its noise was never measured); None where it
    is resolved or no number would do.
    `scale`: what the verdict speaks of. `reason`: one sentence with the numbers.
    """

    verdict: Verdict
    choice: str | None
    seeds_needed: int | None
    scale: Literal["proxy", "target"]
    is_provisional: bool
    reason: str


def judge(proxy: ProxyDifference, chance: TargetChance | None, stakes: Stakes) -> Decision:
    """The verdict; `chance` is None where there is no reference at all, and carries its refusal where it has one."""
    _check(proxy, stakes)
    if chance is not None and (chance.a, chance.b) != (proxy.a, proxy.b):
        raise InvalidInputError.at("/chance", (chance.a, chance.b), f"speaks of others than {(proxy.a, proxy.b)}")
    is_calibrated = chance is not None and chance.p_better is not None
    decided = _decide(chance, stakes) if chance is not None and is_calibrated else None
    if decided is not None:
        verdict, needed = Verdict.DECIDE, None
        choice, reason = decided
    else:
        choice = None
        verdict, needed, clause = _weigh_seeds(proxy, stakes)
        reason = f"{_target_clause(chance, stakes)}, and {clause}."
    return Decision(
        verdict=verdict,
        choice=choice,
        seeds_needed=needed,
        scale="target" if is_calibrated else "proxy",
        is_provisional=is_calibrated and chance is not None and chance.is_provisional,
        reason=reason,
    )


def seeds_to_resolve(proxy: ProxyDifference) -> int | None:
    """Seeds that each recipe needs in all until |difference| exceeds its 95 % half width at today's seed variance.

    A recipe that has more keeps them. Each added seed that both share is worth one more degree of freedom. None where
    the difference is resolved, the noise is unknown, or documents alone keep it unresolved.
    """
    from scipy.special import stdtrit

    if proxy.is_resolved or proxy.run_variances is None or proxy.degrees is None or proxy.difference == 0:
        return None
    fewest = min(proxy.seeds)
    total_K = np.arange(fewest + 1, MOST_SEEDS + 1)
    of_a, of_b = (
        variance / np.maximum(total_K, seeds) for variance, seeds in zip(proxy.run_variances, proxy.seeds, strict=True)
    )
    error_K = np.sqrt(of_a + of_b + proxy.document_variance)
    half_width_K = stdtrit(proxy.degrees + total_K - fewest, (1 + LEVEL) / 2) * error_K
    enough = np.flatnonzero(abs(proxy.difference) > half_width_K)
    return int(total_K[enough[0]]) if len(enough) else None


def _decide(chance: TargetChance, stakes: Stakes) -> tuple[str | None, str] | None:
    """The choice and why; None where the calibration does not settle it."""
    p_better = _known(chance.p_better)
    is_a = p_better >= 0.5
    choice, other = (chance.a, chance.b) if is_a else (chance.b, chance.a)
    regret = _known(chance.expected_regret if is_a else chance.expected_regret_of_b)
    worst = _known(chance.worst_case_regret if is_a else chance.worst_case_regret_of_b)
    source = _source(chance)
    probability = max(p_better, 1 - p_better)
    if probability >= LEVEL:
        claim = f"P({choice} better than {other} at target scale) is {_floor(probability)} {source}"
        return choice, f"{claim}; {LEVEL} was asked for."
    if stakes.tolerance is None or regret >= stakes.tolerance:
        return None
    loss = (
        f"is expected to lose {regret:.3g} {stakes.unit} {source}, under the tolerance of {stakes.tolerance:.3g}, and"
        f" loses at most {worst:.3g} in 95 of 100 cases"
    )
    if p_better == 0.5:
        return None, f"Neither {choice} nor {other} is favoured at target scale, and taking either {loss}."
    claim = f"P({choice} better than {other} at target scale) is {_floor(probability)}"
    return choice, f"{claim}, and taking {choice} {loss}."


def _target_clause(chance: TargetChance | None, stakes: Stakes) -> str:
    """Why the target scale does not settle it."""
    if chance is None:
        least = f"{LEAST_CALIBRANTS} recipes with both scores are the least that says anything of target scale"
        return f"No recipe has a reference, so this speaks of the proxy scale only ({least})"
    if chance.p_better is None:
        return f"Nothing can be said of target scale ({_known(chance.refusal).rstrip('.')})"
    is_a = chance.p_better >= 0.5
    choice, other = (chance.a, chance.b) if is_a else (chance.b, chance.a)
    claim = (
        f"P({choice} better than {other} at target scale) is {_floor(max(chance.p_better, 1 - chance.p_better))}"
        f" {_source(chance)}, short of {LEVEL}"
    )
    if stakes.tolerance is None:
        return claim
    regret = _known(chance.expected_regret if is_a else chance.expected_regret_of_b)
    return f"{claim}, its expected regret of {regret:.3g} {stakes.unit} is not under {stakes.tolerance:.3g}"


def _source(chance: TargetChance) -> str:
    told = f"by the calibration on {chance.n} recipes"
    if chance.is_provisional:
        told += " (few, so provisional)"
    if chance.slope is not None and chance.slope < 0:
        told += " (where better proxy scores went with worse references)"
    return told


def _weigh_seeds(proxy: ProxyDifference, stakes: Stakes) -> tuple[Verdict, int | None, str]:
    """More seeds or undecidable, the seeds, and the clause about the proxy scale."""
    half_width = proxy.half_width
    if half_width is None:
        return _measure_noise(proxy, stakes)
    size = f"{abs(proxy.difference):.3g} ± {half_width:.2g} bits per byte (95 %)"
    if proxy.is_resolved:
        better, worse = (proxy.a, proxy.b) if proxy.difference < 0 else (proxy.b, proxy.a)
        return Verdict.UNDECIDABLE, None, f"at proxy scale {better} is better than {worse} by {size}, resolved already"
    needed = seeds_to_resolve(proxy)
    told = f"the proxy difference of {size} is unresolved"
    if needed is None:
        return Verdict.UNDECIDABLE, None, f"{told}, which no number of seeds would change at today's noise"
    if needed > stakes.seed_limit:
        told += f": resolving it would take {needed} seeds a recipe, over the limit of {stakes.seed_limit}"
        return Verdict.UNDECIDABLE, needed, told
    return Verdict.MORE_SEEDS, needed, f"{told}: {needed} seeds a recipe would resolve it if it stayed this large"


def _measure_noise(proxy: ProxyDifference, stakes: Stakes) -> tuple[Verdict, int | None, str]:
    told = f"the noise of the proxy difference of {abs(proxy.difference):.3g} bits per byte is unknown"
    if proxy.run_variances is None and min(proxy.seeds) < LEAST_SEEDS <= stakes.seed_limit:
        return Verdict.MORE_SEEDS, LEAST_SEEDS, f"{told}: {LEAST_SEEDS} seeds a recipe are the least that measure it"
    return Verdict.UNDECIDABLE, None, told


def _known(value: T | None) -> T:
    assert value is not None
    return value


def _floor(probability: float) -> str:
    """Two digits, never rounded up: .9499 must not read .95. The tiny step undoes float64's .95 = .9499…"""
    return f"{math.floor(probability * 100 + 1e-9) / 100:.2f}"


def _check(proxy: ProxyDifference, stakes: Stakes) -> None:
    """Every number that a sentence or a comparison rests on."""
    if not math.isfinite(proxy.difference):
        raise InvalidInputError.at("/proxy/difference", proxy.difference, "must be a finite number")
    for name, value in (("standard_error", proxy.standard_error), ("degrees", proxy.degrees)):
        if value is not None and not 0 < value < math.inf:
            raise InvalidInputError.at(f"/proxy/{name}", value, "must be finite and positive, or none")
    variances = {f"run_variances/{place}": value for place, value in enumerate(proxy.run_variances or ())}
    for name, value in {**variances, "document_variance": proxy.document_variance}.items():
        if not 0 <= value < math.inf:
            raise InvalidInputError.at(f"/proxy/{name}", value, "must be finite and at least 0")
    if min(proxy.seeds) < 1:
        raise InvalidInputError.at("/proxy/seeds", proxy.seeds, "each recipe needs at least one seed")
    if stakes.seed_limit < 1:
        raise InvalidInputError.at("/stakes/seed_limit", stakes.seed_limit, "must be at least 1")
    if stakes.tolerance is not None and not 0 <= stakes.tolerance < math.inf:
        raise InvalidInputError.at("/stakes/tolerance", stakes.tolerance, "must be finite and at least 0, or none")
