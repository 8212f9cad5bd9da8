"""Keyed hashing of many documents at once: the source of every random choice about data.

A document's place in a stream depends on its content and the data seed and nothing else, so two recipes share as
much of their streams as their definitions allow. The mixer is splitmix64's finaliser (Steele et al., OOPSLA 2014).
"""

import numpy as np
import numpy.typing as npt

UInt64Array = npt.NDArray[np.uint64]

SUBSET = 0x53554253
INCLUSION = 0x494E434C
POSITION = 0x504F5349
SIMULATED = 0x53494D55


def mix(keys: UInt64Array, *words: int) -> UInt64Array:
    """Hashes each key with the same words; uint64 of the same shape."""
    state = keys.astype(np.uint64, copy=True)
    for word in words:
        # Seeds may be any integer; the product spreads small ones over all 64 bits.
        state ^= np.uint64((word * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF)
        state = _finalise(state)
    return state


def combine(hashes: UInt64Array, words: UInt64Array) -> UInt64Array:
    """Hashes each of two equally long columns' pairs; uint64 of the same shape."""
    return _finalise(hashes ^ _finalise(words))


def unit_interval(hashes: UInt64Array) -> npt.NDArray[np.float64]:
    """Hashes as float64 in [0, 1)."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _finalise(state: UInt64Array) -> UInt64Array:
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
