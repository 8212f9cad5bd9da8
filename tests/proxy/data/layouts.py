"""The same three corpora as different machines would hold them: other folders, files, formats, orders and names.

Everything that a plan reads is made by the code that a worker runs: tables, tokens and columns lie on disk.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.data.columns import ensure_columns
from proxy.data.corpora import CorpusLocation
from proxy.data.holdings import Holdings
from proxy.data.needs import signature_column, statistic_column
from proxy.data.plans import SamplingPlan, plan_stream
from proxy.data.scans import scan_once
from proxy.data.selection import near_settings
from proxy.data.statistics import STATISTICS
from proxy.data.tokenizers import Tokenizer, train_tokenizer
from proxy.data.tokens import TokenStore, tokenise_corpus
from proxy.recipes import NearDedup, Recipe
from tests.proxy.data.material import FORMATS, Record, write
from tests.proxy.recipes.random_recipes import CORPORA, LOOSE

WORDS = "the of and to that have with be wolf river stone 7 lamp green! quiet, yes. no: long-winded".split()
FIELDS = ("quality", "language", "date")
SIGNED = (NearDedup(), NearDedup.model_validate(LOOSE))


def corpora(documents: int = 50, seed: int = 0) -> dict[str, list[Record]]:
    """Short documents; some stand twice, in another corpus too, or differ from another in a word."""
    rng = random.Random(seed)
    found: dict[str, list[Record]] = {name: [] for name in CORPORA}
    texts: list[str] = []
    for number in range(documents * len(CORPORA)):
        words = rng.choices(WORDS, k=rng.randint(1, 40))
        kind = rng.random()
        if texts and kind < 0.3:
            words = rng.choice(texts).split()
            if kind < 0.2:
                words[rng.randrange(len(words))] = f"w{number}"
        texts.append(" ".join(words))
        record = {
            "text": texts[-1],
            "quality": rng.randint(0, 100) / 10,
            "language": rng.choice(["en", "de", "fr", None]),
            "date": f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        }
        found[rng.choice(CORPORA)].append(record)
    return found


def tokenizer_of(records: dict[str, list[Record]]) -> Tokenizer:
    """One tokenizer for every layout."""
    return Tokenizer.from_json(train_tokenizer([one["text"] for part in records.values() for one in part], 300))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One machine's view: its names of the corpora, their fingerprints by that name, and what plans read."""

    names: dict[str, str]
    prints: dict[str, str]
    stores: dict[str, TokenStore]
    holdings: dict[str, Holdings]
    end_of_text: int

    def plan(self, recipe: Recipe, budget: int, seed: int) -> SamplingPlan:
        used = recipe.corpora()
        stores = {name: self.stores[name] for name in used}
        holdings = {name: self.holdings[name] for name in used}
        return plan_stream(recipe, stores, budget, seed, self.end_of_text, holdings)


def lay_out(
    records: dict[str, list[Record]], tokenizer: Tokenizer, folder: Path, seed: int, processes: int = 1
) -> Layout:
    """In so many files of some format, in some order, under some names, with some length of shards."""
    rng = random.Random(seed)
    place = folder / f"machine-{seed}" / "".join(rng.choices("abcdef", k=rng.randint(1, 20)))
    names = {name: f"{rng.choice(['x', 'web', 'Z'])}-{rng.randrange(10**6)}" for name in records}
    prints, stores, holdings = {}, {}, {}
    for name, part in records.items():
        location = _written(place / "text" / names[name], part, rng)
        counts = scan_once(location, place / "documents")
        store = tokenise_corpus(
            location,
            counts.fingerprint,
            tokenizer,
            place / "tokens",
            processes=processes,
            documents=place / "documents" / counts.fingerprint,
            shard_bytes=rng.choice([300, 2000, 1 << 20]),
        )
        wanted = [statistic_column(one) for one in STATISTICS]
        wanted += [signature_column(near_settings(one)) for one in SIGNED]
        columns = ensure_columns(location, counts.fingerprint, place / "documents", wanted, processes=processes)
        prints[names[name]], stores[names[name]] = counts.fingerprint, store
        holdings[names[name]] = Holdings(table=store.documents, token_counts=store.token_counts, columns=columns)
    return Layout(names=names, prints=prints, stores=stores, holdings=holdings, end_of_text=tokenizer.end_of_text)


def _written(folder: Path, records: Sequence[Record], rng: random.Random) -> CorpusLocation:
    folder.mkdir(parents=True)
    shuffled = rng.sample(list(records), len(records))
    cuts = sorted(rng.sample(range(1, len(shuffled)), rng.randint(0, 3)))
    for first, last in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        part: list[dict[str, Any]] = [dict(rng.sample(sorted(one.items()), len(one))) for one in shuffled[first:last]]
        write(folder, f"{rng.randrange(10**9)}.{rng.choice(FORMATS)}", part)
    return CorpusLocation(uri=str(folder), fields=FIELDS)
