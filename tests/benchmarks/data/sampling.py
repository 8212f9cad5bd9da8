"""Whether the trainer ever waits for data: the demo's nano proxy is trained on a real recipe, and its data made beside.

Both are measured in one run. The proxy trains as the demo's does (compiled where the machine can, one core), and its
speed is that of its training steps alone. Making data is opening the tokens, planning, and gathering the stream;
batches are also read one by one, as a run that is resumed in its middle would.
`python -m tests.benchmarks.data.sampling CORPUS...` prints the rows.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.data.corpora import CorpusLocation
from proxy.data.holdings import Holdings
from proxy.data.plans import SamplingPlan, plan_stream
from proxy.data.scans import scan_once
from proxy.data.tokenizers import Tokenizer, train_tokenizer
from proxy.data.tokens import open_tokens, tokenise_corpus
from proxy.protocols import Protocol
from proxy.recipes import Recipe
from tests.benchmarks.data.text import locations_in, sampled
from tests.benchmarks.figures import Row, at_least, at_most, for_information, in_own_process

SOURCES = 5
ROUNDS = 5
RATE = 1e-3
LEAST_SPEEDUP, MOST_WAITING = 50.0, 0.01


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Where the tokens of a recipe's corpora lie: fingerprints of the corpora by name, and the tokenizer's."""

    folder: Path
    corpora: dict[str, str]
    tokenizer: str
    end_of_text: int

    def plan(self, recipe: Recipe, budget: int) -> SamplingPlan:
        """Opens what the recipe needs and plans its stream."""
        stores = {}
        for name in recipe.corpora():
            store = open_tokens(self.folder, self.corpora[name], self.tokenizer)
            assert store is not None
            stores[name] = store
        holdings = {name: Holdings(table=one.documents, token_counts=one.token_counts) for name, one in stores.items()}
        return plan_stream(recipe, stores, budget, 1, self.end_of_text, holdings)


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of one run: best and slowest of making its stream, of reading it batch by batch, and of training."""

    stream_seconds: float
    slowest_seconds: float
    batches_seconds: float
    training_seconds: float
    is_compiled: bool


def sampling_figures(corpora: Sequence[Path]) -> list[Row]:
    """Speed of making data ÷ speed of consuming it, and the share of a run that is spent waiting for data."""
    with tempfile.TemporaryDirectory() as folder:
        stores, recipe, protocol = _made(corpora, Path(folder))
        found = in_own_process(measure, stores, recipe, protocol)
    budget = protocol.token_budget
    consumed = budget / found.training_seconds
    kind = "compiled" if found.is_compiled else "not compiled"
    nano = f"the nano proxy ({protocol.architecture.parameters:,} parameters, {kind})"
    waited = found.slowest_seconds / (found.slowest_seconds + found.training_seconds)
    planned, read = (budget / seconds / consumed for seconds in (found.stream_seconds, found.batches_seconds))
    return [
        for_information(f"tokens/s that {nano} consumes", consumed),
        at_least("planning a run and gathering its stream, times that", planned, LEAST_SPEEDUP),
        at_least("reading the stream batch by batch, times that", read, LEAST_SPEEDUP),
        at_most(f"share of a run of {budget:,} tokens that waits for data", waited, MOST_WAITING),
    ]


def measure(stores: Stores, recipe: Recipe, protocol: Protocol) -> Times:
    """Seconds of each; making data is tried some times, training once."""
    budget = protocol.token_budget
    made = [_seconds(lambda: stores.plan(recipe, budget).stream()) for _ in range(ROUNDS)]
    plan = stores.plan(recipe, budget)
    steps = range(0, budget, protocol.batch_tokens)
    batches = [
        _seconds(lambda: [plan.read(start, protocol.batch_tokens + 1) for start in steps]) for _ in range(ROUNDS)
    ]
    training_seconds, is_compiled = _training(protocol, plan)
    return Times(
        stream_seconds=min(made),
        slowest_seconds=max(made),
        batches_seconds=min(batches),
        training_seconds=training_seconds,
        is_compiled=is_compiled,
    )


def _training(protocol: Protocol, plan: SamplingPlan) -> tuple[float, bool]:
    """Seconds of a whole run's steps, and whether they were compiled."""
    from proxy.lm.cohort import Member, train_cohort
    from proxy.lm.device import detect

    member = Member(run_id="nano", learning_rate=RATE, seed=1, read=plan.read)
    (outcome,) = train_cohort(protocol, [member], {}, _Silent(), 1, True)
    assert outcome.state == "finished", outcome.error
    return outcome.seconds, detect(protocol.precision, protocol.device_class, 1, True).compile


class _Silent:
    """Nobody listens, nobody cancels."""

    def progress(
        self, run_id: str, step: int, steps: int, loss: float, tokens_per_second: float, seconds_left: float
    ) -> None:
        pass

    def is_cancelled(self, run_id: str) -> bool:
        return False

    def training(self, run_ids: Sequence[str]) -> None:
        pass


def _made(corpora: Sequence[Path], place: Path) -> tuple[Stores, Recipe, Protocol]:
    """Tokens of a few corpora, an even recipe with a filter and dedup, and the demo's protocol."""
    from api.demo.recipes import FULL

    locations = locations_in(corpora, place / "corpora")[:SOURCES]
    content = train_tokenizer(sampled(locations), FULL.vocabulary)
    tokenizer = Tokenizer.from_json(content)
    prints = {f"corpus-{index}": _tokenised(location, tokenizer, place) for index, location in enumerate(locations)}
    sources = [
        {"corpus": name, "weight": 1, "filters": [{"minimum": 200}], "dedup": "exact", "max_epochs": 4}
        for name in prints
    ]
    recipe = Recipe.model_validate({"name": "even", "sources": sources})
    protocol = Protocol.model_validate(
        {
            "name": "nano",
            "architecture": FULL.architecture(FULL.proxy),
            "tokenizer": tokenizer.fingerprint,
            "batch_sequences": FULL.batch_sequences,
            "steps": FULL.steps,
            "standard_rate": RATE,
        }
    )
    stores = Stores(
        folder=place / "tokens", corpora=prints, tokenizer=tokenizer.fingerprint, end_of_text=tokenizer.end_of_text
    )
    return stores, recipe, protocol


def _tokenised(location: CorpusLocation, tokenizer: Tokenizer, place: Path) -> str:
    counts = scan_once(location, place / "documents")
    table = place / "documents" / counts.fingerprint
    tokenise_corpus(location, counts.fingerprint, tokenizer, place / "tokens", documents=table)
    return counts.fingerprint


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    for row in sampling_figures([Path(argument) for argument in sys.argv[1:]]):
        print(row["holds"], f"{row['value']:.4g}", row["must"], row["figure"], sep="\t", flush=True)
