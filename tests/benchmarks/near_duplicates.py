"""Precision and recall on planted near-duplicates, and speed: python -m tests.benchmarks.near_duplicates"""

import time
from collections.abc import Iterator

import numpy as np

from proxy.data.hashing import mix
from proxy.data.near_duplicate_groups import near_duplicate_groups
from proxy.data.near_duplicates import NearDuplicates, signature
from tests.proxy.data.planted import Found, compare, plant, real_texts

SETTINGS = (NearDuplicates(), NearDuplicates(bands=51, rows=10))


def measure(settings: NearDuplicates, low: float, seed: int = 1, originals: int = 1000) -> tuple[Found, float]:
    """Figures for originals and copies with similarities drawn evenly from [low, 1], and megabytes signed a second."""
    planted = plant(real_texts(originals, 150), low, np.random.default_rng(seed))
    begin = time.perf_counter()
    signatures = np.array([signature(text, settings) for text in planted.texts])
    seconds = time.perf_counter() - begin
    keys = mix(np.arange(len(planted.texts), dtype=np.uint64), seed)
    groups = near_duplicate_groups(signatures, keys, settings)
    megabytes = sum(len(text.encode()) for text in planted.texts) / 1e6
    return compare(groups.tolist(), planted, settings.similarity), megabytes / seconds


def rows() -> Iterator[str]:
    """One line a setting and range."""
    for settings in SETTINGS:
        for low in (0.0, 0.5, 0.7):
            found, speed = measure(settings, low)
            yield (
                f"{settings.bands} x {settings.rows}, planted from {low}: clear pairs P {found.clear_precision:.3f} "
                f"R {found.clear_recall:.3f} ({found.clear_pairs}); all pairs at {settings.similarity} "
                f"P {found.sharp_precision:.3f} R {found.sharp_recall:.3f}; {speed:.1f} MB/s"
            )


if __name__ == "__main__":
    for row in rows():
        print(row)
