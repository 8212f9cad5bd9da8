"""The whole job through the real service: 23 recipes × 2 seeds of the 1M proxy, 500,000 tokens each.

Ours is the time from the first submission to the last finished run, with start, compilation, evaluation and storing.
The peer's is what 46 runs cost one after the other as its train.py does them: each starts, compiles and trains. Its
time is counted from measured parts (seconds to the first step, tokens a second), because the whole takes an hour.
"""

import random
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from api.client import Client
from api.demo.corpora import write_corpora
from api.demo.experiment import Experiment, TrainingCorpus
from api.demo.recipes import Size
from api.up import key_path, running_stack
from tests.benchmarks.figures import Row, at_least, at_most, for_information
from tests.benchmarks.training.shapes import BATCH_SEQUENCES, BATCH_TOKENS, CONTEXT_TOKENS, SHAPES, VOCABULARY
from tests.benchmarks.training.single import measure
from worker.settings import get_settings

RECIPES = 23
SEEDS = 2
STEPS = -(-500_000 // BATCH_TOKENS)
SPEEDUP = 4.0
OVERHEAD = 0.15


def job_figures(peers: Path | None) -> list[Row]:
    """Seconds of the whole job, the share that is not training, and the ratio to nanoGPT where it is here."""
    with tempfile.TemporaryDirectory() as folder:
        wall, training, lanes = _run(Path(folder))
    runs = RECIPES * SEEDS
    rows = [
        for_information(f"{runs} runs of {STEPS * BATCH_TOKENS:,} tokens: seconds, everything included", wall),
        for_information("tokens/s of the whole job", runs * STEPS * BATCH_TOKENS / wall),
        at_most("share of the job's time that is not training", 1 - training / (lanes * wall), OVERHEAD),
    ]
    found = measure(SHAPES[0], peers)
    for name, words in (("nanogpt", "nanoGPT as shipped"), ("nanogpt-bf16", "nanoGPT in bf16")):
        if name in found:
            alone = runs * (found[name]["first"] + STEPS * BATCH_TOKENS / found[name]["speed"])
            figure = f"{words}, one run after the other (from its measured parts) ÷ ours"
            is_must = name == "nanogpt"
            rows.append(at_least(figure, alone / wall, SPEEDUP) if is_must else for_information(figure, alone / wall))
    return rows


def _run(folder: Path) -> tuple[float, float, int]:
    """Wall seconds, training seconds of all runs, and the lanes that trained."""
    corpora = [
        TrainingCorpus(name=one.name, path=one.path, held_out=one.held_out) for one in write_corpora(folder / "text")
    ]
    settings = get_settings().model_copy(update={"data_dir": folder / "service", "api_port": 0})
    with running_stack(settings) as stack:
        client = Client(stack.url, key_path(settings).read_text().strip())
        size = _size([corpus.name for corpus in corpora if corpus.held_out])
        job = Experiment(client=client, console=Console(quiet=True), size=size, label="bench")
        job.register_data(corpora)
        job.register_recipes()
        job.register_protocols(1e-3)
        began = time.monotonic()
        job.evaluate()  # both of the demo's protocols, which are one here: nothing is trained twice
        wall = time.monotonic() - began
    runs = [run for evaluation in job.evaluations["reduced"] for run in evaluation["runs"]]
    assert [run["state"] for run in runs] == ["finished"] * (RECIPES * SEEDS)
    return wall, sum(run["result"]["seconds"] for run in runs), settings.resolved_lanes


def _size(corpora: list[str]) -> Size:
    draw = random.Random(0)
    recipes: list[dict[str, Any]] = [
        {
            "name": f"mixture-{index}",
            "sources": [{"corpus": name, "weight": draw.uniform(0.1, 1), "max_epochs": 4} for name in corpora],
        }
        for index in range(RECIPES)
    ]
    shape = SHAPES[0]
    return Size(
        recipes=tuple(recipes),
        proxy={"layers": shape.layers, "width": shape.width, "heads": shape.heads, "hidden": shape.hidden},
        vocabulary=VOCABULARY,
        context_tokens=CONTEXT_TOKENS,
        batch_sequences=BATCH_SEQUENCES,
        steps=STEPS,
        seeds=SEEDS,
        reduction=1.0,
        with_references=False,
    )
