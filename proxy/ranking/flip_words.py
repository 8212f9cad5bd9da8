"""What a flip certificate says in a sentence, and in the few words of a badge. Neither claims more than it shows."""

from dataclasses import dataclass
from enum import StrEnum

from proxy.ranking.flips import Flip, FlipCertificate, PairCertificate, Verdict


class Tone(StrEnum):
    """How a badge is to be taken."""

    GOOD = "good"  # every order that was asked about holds
    OPEN = "open"  # nothing flips, and not everything is resolved
    WARNING = "warning"  # something flips


@dataclass(frozen=True, kw_only=True)
class FlipWords:
    """`badge` has under ten words and no full stop."""

    badge: str
    tone: Tone
    sentence: str


def write_rate(rate: float) -> str:
    """As people write learning rates: 3e-4."""
    digits, exponent = f"{rate:.2e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def describe_pair(found: FlipCertificate) -> FlipWords:
    """Of a certificate that was made for one pair."""
    (pair,) = found.pairs
    span = _span(found.rates[0], found.rates[-1])
    if pair.verdict == Verdict.STABLE:
        return FlipWords(
            badge=f"stable {span}", tone=Tone.GOOD, sentence=f"{pair.better} is better at every rate {span}."
        )
    if pair.verdict == Verdict.FLIPS:
        places = _enumerate([f"between {write_rate(flip.low)} and {write_rate(flip.high)}" for flip in pair.flips])
        sentence = f"The order flips {places}: {'; '.join(map(_turn, pair.flips))}."
        return FlipWords(badge=f"flips {places}", tone=Tone.WARNING, sentence=sentence)
    return FlipWords(badge=f"unresolved {span}", tone=Tone.OPEN, sentence=_unresolved(pair, span))


def describe_leaderboard(found: FlipCertificate) -> FlipWords:
    """Of a certificate of all pairs."""
    pairs = found.stable + found.flipping + found.unresolved
    span = _span(found.rates[0], found.rates[-1])
    if found.stable == pairs > 0:
        sentence = f"Each of {_count(pairs)} has the same better recipe at every rate {span}."
        return FlipWords(badge=f"order stable {span}", tone=Tone.GOOD, sentence=sentence)
    unresolved = f"{found.unresolved} {'is' if found.unresolved == 1 else 'are'} unresolved"
    if not found.flipping:
        holds = _verb(1 if pairs == 1 else found.stable, "hold")
        badge = f"{'no flips' if found.stable else 'unresolved'} {span}"
        counts = f"{found.stable} of {_count(pairs)} {holds} at every rate, {unresolved}"
        return FlipWords(badge=badge, tone=Tone.OPEN, sentence=f"No pair is seen to flip {span}: {counts}.")
    badge, where = _calm(found)
    counts = f"over all rates {found.stable} {_verb(found.stable, 'hold')} and {unresolved}"
    flips = _verb(found.flipping, "flip")
    return FlipWords(
        badge=f"{_count(found.flipping)} {flips}, {badge}",
        tone=Tone.WARNING,
        sentence=f"{found.flipping} of {_count(pairs)} {flips} somewhere {span}, {where}; {counts}.",
    )


def _calm(found: FlipCertificate) -> tuple[str, str]:
    """Where, around the own rate, nothing flips: for the badge and for the sentence."""
    if found.no_flip_low == found.no_flip_high:
        own = write_rate(found.own_rate)
        return f"some next to {own}", f"some already between {own} and the rates next to it"
    calm = f"none {_span(found.no_flip_low, found.no_flip_high)}"
    return calm, f"{calm}, where {found.held} {_verb(found.held, 'hold')} at every rate"


def _turn(flip: Flip) -> str:
    low, high = write_rate(flip.low), write_rate(flip.high)
    return f"{flip.better_at_low} is better at {low}, {flip.better_at_high} at {high}"


def _unresolved(pair: PairCertificate, span: str) -> str:
    better = next((part.better for part in pair.by_rate if part.better is not None), None)
    if better is None:
        return f"{pair.first} and {pair.second} cannot be told apart at any rate {span}."
    where = _enumerate([write_rate(rate) for rate in pair.resolved_at])
    return f"{better} is better at {where}, and neither is resolved at the other rates {span}."


def _span(low: float, high: float) -> str:
    return f"from {write_rate(low)} to {write_rate(high)}"


def _count(pairs: int) -> str:
    return f"{pairs} pair" if pairs == 1 else f"{pairs} pairs"


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb


def _enumerate(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
