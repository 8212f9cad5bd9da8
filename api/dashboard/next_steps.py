"""Empty states: what is missing, and the exact command that comes next, with the names this service already knows."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.dashboard.queries import Inventory, Work

KEY_HEADER = "Authorization: Bearer $FORETASTE_API_KEY"
FIRST_PROTOCOL: Mapping[str, Any] = {
    "name": "reduced",
    "architecture": {"layers": 4, "width": 128, "heads": 4, "hidden": 384, "context_tokens": 256},
    "batch_sequences": 16,
    "steps": 1000,
    "standard_rate": 0.003,
    "reduction": 0.3,
}


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """What is missing (`title`), why it is needed (`words`), and what to type; no command where waiting is right."""

    title: str
    words: str
    commands: tuple[str, ...] = ()


def post_command(base_url: str, path: str, body: Mapping[str, Any]) -> str:
    """A curl command that a shell takes as it stands."""
    url, data = shlex.quote(f"{base_url}{path}"), shlex.quote(json.dumps(body, ensure_ascii=False))
    return f'curl {url} \\\n  -H "{KEY_HEADER}" -H "Content-Type: application/json" \\\n  -d {data}'


def submit_command(base_url: str, protocol: str, suite: str) -> str:
    """The command that evaluates a recipe file under a protocol and a suite."""
    return (
        f"foretaste submit recipe.yaml --protocol {shlex.quote(protocol)} --suite {shlex.quote(suite)} "
        f"--url {shlex.quote(base_url)}"
    )


def recipe_file_command(corpus: str) -> str:
    """The command that writes a first recipe file."""
    recipe = f"name: first\nsources:\n  - corpus: {json.dumps(corpus)}\n    weight: 1\n"
    return f"cat > recipe.yaml <<'YAML'\n{recipe}YAML"


def next_step(inventory: Inventory, work: Work, base_url: str, protocol: str, suite: str) -> NextStep:
    """What stands between this service and its first leaderboard, in the order in which it is needed."""
    if work.jobs and not (inventory.corpora and inventory.tokenizers):
        return NextStep(title="Reading", words="A worker reads what was registered. What comes next is shown here.")
    preparation = _preparation(inventory, base_url)
    if preparation:
        return preparation
    if work.running_runs or work.queued_runs or work.jobs:
        return NextStep(
            title="The first ranking is on its way",
            words="It appears here when the first recipe has been trained and scored; its runs are shown below.",
        )
    return _submission(inventory, base_url, protocol, suite)


def _preparation(inventory: Inventory, base_url: str) -> NextStep | None:
    """The first of corpora, tokenizer, suite and protocol that is missing; None if nothing is."""
    if not inventory.corpora:
        return _register_corpora(base_url)
    if not inventory.tokenizers:
        return _train_tokenizer(inventory, base_url)
    if not inventory.has_suite:
        return _add_suite(inventory, base_url)
    if not inventory.has_protocol:
        return _add_protocol(inventory, base_url)
    return None


def _register_corpora(base_url: str) -> NextStep:
    url = shlex.quote(base_url)
    return NextStep(
        title="Register a corpus",
        words="JSONL, .jsonl.gz, .jsonl.zst or Parquet, by path, folder or glob; and held-out text of the same kind to "
        "measure on.",
        commands=(
            f"foretaste corpus add web /data/web.jsonl.zst --url {url}",
            f"foretaste corpus add web-held-out /data/web-held-out.jsonl.zst --url {url}",
        ),
    )


def _train_tokenizer(inventory: Inventory, base_url: str) -> NextStep:
    training = {"vocabulary": 4096, "corpora": list(inventory.training_corpora), "sample_bytes": 10_000_000}
    return NextStep(
        title="Train a tokenizer",
        words="It becomes part of the protocol. A tokenizer.json of your own can be registered instead.",
        commands=(post_command(base_url, "/v1/tokenizers", {"name": "bpe", "train": training}),),
    )


def _add_suite(inventory: Inventory, base_url: str) -> NextStep:
    sets = [{"name": name, "corpus": name, "weight": 1} for name in inventory.held_out_corpora]
    return NextStep(
        title="Say what is to be predicted",
        words="A suite names held-out corpora with weights. It is the objective: recipes are ranked by it.",
        commands=(post_command(base_url, "/v1/suites", {"name": "held-out", "sets": sets}),),
    )


def _add_protocol(inventory: Inventory, base_url: str) -> NextStep:
    name, vocabulary = inventory.tokenizers[0]
    architecture = FIRST_PROTOCOL["architecture"] | {"vocabulary": vocabulary}
    protocol = {**FIRST_PROTOCOL, "tokenizer": name, "architecture": architecture}
    return NextStep(
        title="Fix how proxies are trained",
        words="A protocol is everything but the data: architecture, budget, a rate below the standard one.",
        commands=(post_command(base_url, "/v1/protocols", protocol),),
    )


def _submission(inventory: Inventory, base_url: str, protocol: str, suite: str) -> NextStep:
    return NextStep(
        title=f"Nothing is ranked under {protocol} on {suite}",
        words="Submit a recipe; the same recipe again trains nothing twice. With a second one the ranking begins.",
        commands=(
            recipe_file_command(inventory.training_corpora[0]),
            submit_command(base_url, protocol, suite),
        ),
    )


def reference_step(base_url: str, recipe: str) -> NextStep:
    """How the first large-scale result is registered."""
    body = {
        "reference_set": "production",
        "recipe": recipe,
        "metric": "bits_per_byte",
        "direction": "lower",
        "value": 0.871,
        "learning_rate": 0.0003,
        "parameters": 1_000_000_000,
        "tokens": 20_000_000_000,
    }
    return NextStep(
        title="No reference yet",
        words="Whether this ranking holds at scale shows when large runs of the same recipes are registered, each rate "
        "of a sweep as one. From five recipes on, agreement has an interval.",
        commands=(post_command(base_url, "/v1/references", body),),
    )


WORKER_STEP = NextStep(
    title="Work is waiting, and no worker takes it",
    words="Start one where the database and the broker can be reached, with the same settings as the service.",
    commands=("foretaste worker",),
)
