"""A quality score that needs no model: how typical a text is of running English prose, in [0, 1].

Six features, each 1 at the value that is usual in edited prose and falling linearly to 0 on both sides: the share of
stop words, the share of letters among characters in words, mean word length, words a sentence, the share of capitals
among letters, and the share that repeated 5-grams cover. The score is half their mean and half the lowest of them, so
that one fault cannot hide behind five virtues; texts of a few words are drawn towards 0, for they show little. The
bounds are our own choice, read off books and reference pages on one side and code, tables and noise on the other;
they are not fitted to any loss.

It cannot see whether a text is true, useful, safe or coherent (shuffled sentences score the same), among good prose it
prefers the ordinary, and it knows English alone: other languages have none of its stop words and score below half.
Sums, products and quotients of counts only, so that the same text scores the same on every machine.
"""

from proxy.data.statistics.view import TextView

WORDS_FOR_HALF = 10  # a text of so many words keeps half its score


def prose_quality(view: TextView) -> float:
    """0 for what has no words."""
    words = len(view.words)
    if words == 0:
        return 0.0
    features = _features(view)
    mean, lowest = sum(features) / len(features), min(features)
    return (mean + lowest) / 2 * words / (words + WORDS_FOR_HALF)


def _features(view: TextView) -> tuple[float, ...]:
    words, solid = len(view.words), view.words.characters
    letters = view.characters.alphabetic
    return (
        _near(view.stop_words.total() / words, 0.0, 0.2, 0.6),
        _near(letters / solid, 0.5, 0.96, 1.4),
        _near(solid / words, 1.0, 5.0, 12.0),
        _near(words / max(view.sentences, 1), 0.0, 20.0, 120.0),
        _near(view.characters.uppercase / max(letters, 1), -0.5, 0.03, 0.5),
        _near(view.ngrams[5].duplicate_characters / solid, -1.0, 0.0, 0.5),
    )


def _near(value: float, low: float, usual: float, high: float) -> float:
    """1 at `usual`, 0 at and beyond `low` and `high`, linear between."""
    edge = low if value < usual else high
    return max(0.0, (value - edge) / (usual - edge))
