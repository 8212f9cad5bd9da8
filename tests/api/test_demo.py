"""The demo's parts: corpora out of a small installation, its recipes, a study's recipes, the report."""

import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from api.client import Client, Resource
from api.demo import corpora, run, splits
from api.demo.corpora import COLLECTORS, DemoCorpus, write_corpora
from api.demo.experiment import Experiment, StandardRate, TrainingCorpus, score_of
from api.demo.recipes import FULL, QUICK, SETS, Size
from api.demo.report import AGREEMENT_FIGURES, build_report, write_report
from api.demo.study import SMALLEST_HELD_OUT_BYTES, study_corpora, study_size
from proxy.errors import InvalidInputError
from proxy.protocols import Architecture
from proxy.recipes import Recipe
from worker.settings import get_settings


def lines(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site-packages of sixty small files of each kind, some of them unreadable."""
    root = tmp_path / "site-packages"
    for index in range(60):
        package = root / f"package{index}"
        package.mkdir(parents=True)
        sentence = f"Package {index} documents what function {index} is for, at length and in prose. "
        (package / "code.py").write_text(f'"""{sentence * 4}"""\n\n\ndef f{index}():\n    return {index}\n' * 2)
        (package / "short.py").write_text(f'"""Number {index}."""\n')
        (package / "api.h").write_text(f"// {sentence}\nint f{index}(void);\n" * 3)
        (package / "code.pyi").write_text(f"def f{index}(one: int, two: int) -> int: ...\n" * 5)
        (package / "METADATA").write_text(sentence * 3)
        (package / "lib.so").write_bytes(bytes([index]) * (3 << 14))
    (root / "broken.py").write_text('def broken(:\n    """Not Python."""\n' + "# and yet it is text\n" * 10)
    (root / "latin.py").write_bytes(b"# caf\xe9\n" * 50)
    (root / "huge.py").write_text("x = 1\n" * 50_000)
    (root / "copy.h").write_text((root / "package1" / "api.h").read_text())
    inner = root / "site-packages"
    inner.mkdir()
    (inner / "twice.pyi").write_text("def twice() -> None: ...\n" * 10)
    monkeypatch.setattr(corpora, "_roots", lambda: [("site-packages", root), ("python", root)])
    return root


def test_every_corpus_has_documents_that_name_their_file(installation: Path, tmp_path: Path) -> None:
    written = {corpus.name: corpus for corpus in write_corpora(tmp_path / "corpora")}
    assert set(written) == {*COLLECTORS, "noise", "prose_duplicated"}
    for corpus in written.values():
        documents = lines(corpus.path)
        assert (len(documents), sum(len(one["text"]) for one in documents)) == (corpus.documents, corpus.characters)
        assert all(one["source"] for one in documents)
    assert not any("huge" in one["source"] or "latin" in one["source"] for one in lines(written["python"].path))
    assert not any("broken" in one["source"] for one in lines(written["prose"].path))
    assert any("broken" in one["source"] for one in lines(written["python"].path) + held_out(written["python"]))
    assert not list((tmp_path / "corpora").rglob("*.partial"))


def held_out(corpus: DemoCorpus) -> list[dict[str, str]]:
    assert corpus.held_out is not None
    return lines(corpus.held_out)


def test_nothing_held_out_is_trained_on(installation: Path, tmp_path: Path) -> None:
    for corpus in write_corpora(tmp_path / "corpora"):
        if corpus.held_out is not None:
            train, apart = lines(corpus.path), held_out(corpus)
            assert train
            assert {one["source"] for one in train}.isdisjoint(one["source"] for one in apart)
            assert {one["text"].casefold() for one in train}.isdisjoint(one["text"].casefold() for one in apart)


def test_planted_duplicates_are_there(installation: Path, tmp_path: Path) -> None:
    write_corpora(tmp_path / "corpora")
    once, often = (lines(tmp_path / "corpora" / f"{name}.jsonl.gz") for name in ("prose", "prose_duplicated"))
    assert len(often) == len(once) * (1 + corpora.DUPLICATED_COPIES)


def test_corpora_are_cut_where_they_are_full(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (corpora, splits):
        monkeypatch.setattr(module, "TRAIN_CHARACTERS", 1000)
    monkeypatch.setattr(splits, "HELD_OUT_CHARACTERS", 100)
    for corpus in write_corpora(tmp_path / "corpora"):
        if corpus.name != "prose_duplicated":
            assert 1000 <= corpus.characters < 1000 + 2 * splits.DOCUMENT_CHARACTERS


def test_a_real_installation_is_found() -> None:
    labels = dict(corpora._roots())
    assert (labels["python"] / "os.py").exists()
    assert (labels["site-packages"] / "numpy").exists()


@pytest.mark.parametrize("size", [FULL, QUICK])
def test_the_recipes_are_valid_and_differ(size: Size) -> None:
    recipes = [Recipe.model_validate(recipe) for recipe in size.recipes]
    names = [recipe.name for recipe in recipes]
    assert len(set(names)) == len(names)
    assert set(size.anchors) <= set(names)
    known = {*SETS, "noise", "prose_duplicated"}
    assert {source.corpus for recipe in recipes for source in recipe.sources} <= known
    proxy, reference = (Architecture(**size.architecture(shape)) for shape in (size.proxy, size.reference))
    assert reference.parameters >= 4 * proxy.parameters


def test_the_full_demo_has_what_it_promises() -> None:
    assert len(FULL.recipes) >= 10
    assert len(FULL.reference_rates) >= 3


def domains(folder: Path, count: int, held_out_bytes: int = SMALLEST_HELD_OUT_BYTES) -> Path:
    (folder / "validation").mkdir()
    for index in range(count):
        (folder / f"domain_{index}.jsonl").write_text("{}")
        line = json.dumps({"text": "held out " * 100, "source": f"page {index}"}) + "\n"
        (folder / "validation" / f"domain_{index}.jsonl").write_text(line * -(-held_out_bytes // len(line)))
    (folder / "README.md").touch()
    return folder


def test_a_study_takes_every_domain(tmp_path: Path) -> None:
    found = study_corpora(domains(tmp_path, 9), tmp_path / "made")
    for corpus in found:
        assert corpus.held_out is not None
        assert json.loads(corpus.held_out.read_text().splitlines()[0])["source"].startswith("page")
    assert [corpus.name for corpus in found] == [f"domain-{index}" for index in range(9)]
    size = study_size([corpus.name for corpus in found])
    recipes = {recipe["name"]: Recipe.model_validate(recipe) for recipe in size.recipes}
    assert len(recipes) == len(size.recipes) >= 8
    assert set(size.anchors) <= set(recipes)
    assert recipes["half-domain-3"].shares()[3] == pytest.approx(0.5)
    assert "domain-4" not in [source.corpus for source in recipes["no-domain-4"].sources]


@pytest.mark.parametrize(("count", "held_out_bytes"), [(3, SMALLEST_HELD_OUT_BYTES), (8, 10)])
def test_a_study_of_too_little_is_refused(tmp_path: Path, count: int, held_out_bytes: int) -> None:
    with pytest.raises(InvalidInputError, match="needs at least 4 files"):
        study_corpora(domains(tmp_path, count, held_out_bytes), tmp_path / "made")


class Recorded(Client):
    """A service that says yes to everything; runs end at once, with a score that is best at one rate."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, Any]] = []

    def post(self, path: str, body: object | None = None) -> Resource:
        self.posted.append((path, body))
        return {"id": str(len(self.posted)), "submitted": [], "reused": ["a"]}

    def wait(self, path: str, *_: object, **__: object) -> Resource:
        return {"name": path, "documents": 10, "text_bytes": 2_000_000, "fingerprint": "f" * 32}

    def get(self, path: str, **query: Any) -> Resource:
        if path == "/v1/leaderboard":
            return {"entries": [ENTRY], "protocol": {}, "suite": {}}
        if path == "/v1/agreement":
            return {**dict.fromkeys(AGREEMENT_FIGURES), "n": 2, "spearman": 1.0, "protocol": query["protocol"]}
        if path == "/v1/references":
            return {"items": [LABELLED], "next_cursor": None}
        asked = self.posted[int(path.rsplit("/", 1)[1]) - 1][1]
        rates = list(asked.get("learning_rates") or [1e-3])
        runs = [self.ended(rate, is_hopeless=index > 1) for index, rate in enumerate(rates)]
        return {
            "id": path.rsplit("/", 1)[1],
            "state": "finished",
            "kind": asked.get("kind", "proxy"),
            "recipe": {"id": asked["recipe"], "name": asked["recipe"]},
            "protocol": {"name": asked["protocol"]},
            "runs": runs,
        }

    @staticmethod
    def ended(rate: float, *, is_hopeless: bool) -> Resource:
        return {
            "id": f"run-{rate}",
            "state": "stopped" if is_hopeless else "finished",
            "learning_rate": rate,
            "seed": 0,
            "progress": {},
            "result": {"parameters": 10, "steps": 4, "tokens": 40, "tokens_per_second": 9.0, "final_loss": 2.0},
            "scores": [] if is_hopeless else [{"score": 1.0 + math.log(rate / BEST_RATE) ** 2}],
        }


BEST_RATE = 2e-3
LABELLED = {"label": "tuned", "recipe": {"id": "r"}}
ENTRY = {
    "rank": 1, "rank_low": 1, "rank_high": 1, "score": 1.0, "score_low": 0.9, "score_high": 1.1, "p_best": 1.0,
    "seeds": 2, "gates": [], "letters": "a", "recipe": {"id": "r", "name": "even", "fingerprint": "f"},
}  # fmt: skip


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(client=Recorded(), console=Console(file=io.StringIO(), width=120), size=FULL, label="demo")


def paths(experiment: Experiment, path: str) -> list[Any]:
    assert isinstance(experiment.client, Recorded)
    return [body for posted, body in experiment.client.posted if posted == path]


def test_the_experiment_is_what_the_report_says(experiment: Experiment, tmp_path: Path) -> None:
    data = [
        TrainingCorpus(name="prose", path=tmp_path / "a", held_out=tmp_path / "b"),
        TrainingCorpus(name="noise", path=tmp_path / "c", held_out=None),
    ]
    standard = run._train(experiment, data)
    assert [body["name"] for body in paths(experiment, "/v1/corpora")] == ["prose", "noise", "prose-held-out"]
    assert standard.is_interior
    assert standard.rate == pytest.approx(BEST_RATE)
    rates = {body["name"]: body["standard_rate"] * body["reduction"] for body in paths(experiment, "/v1/protocols")}
    assert rates["demo-reduced"] == pytest.approx(rates["demo-standard"] * FULL.reduction)

    registered = experiment.register_references()
    sent = paths(experiment, "/v1/references")
    assert registered == [LABELLED]
    assert len(sent) == len(FULL.recipes) * len(FULL.reference_rates)
    assert run._schedule(experiment) == {"submitted": 0, "reused": 1}

    report = build_report(experiment, 12.34, {"standard_rate": run._describe(standard)})
    write_report(report, tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text())
    assert (read["recipes"][0]["name"], read["wall_seconds"]) == ("even", 12.3)
    assert set(read["agreement"]) == {"reduced", "standard"}
    assert read["runs"][0]["state"] == "finished"
    assert {one["kind"] for one in read["runs"]} == {"proxy", "reference"}


def test_a_hopeless_rate_is_sent_without_a_value(experiment: Experiment) -> None:
    ended = Recorded.ended(1e-3, is_hopeless=True)
    body = experiment._reference({"id": "e", "recipe": {"id": "r"}}, ended)
    assert (body["value"], body["stopped_early"]) == (None, True)
    assert score_of({"scores": []}) is None


def test_the_quick_demo_has_no_references(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=120)
    quick = Experiment(client=Recorded(), console=console, size=QUICK, label="demo")
    run._train(quick, [TrainingCorpus(name="prose", path=tmp_path / "a", held_out=tmp_path / "b")])
    assert len(paths(quick, "/v1/protocols")) == 3
    assert quick.register_references() == [LABELLED]
    assert build_report(quick, 1.0, {})["agreement"] == {}


def test_nan_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report({"score": float("nan")}, tmp_path / "report.json")
    assert not (tmp_path / "report.json").exists()


class Up:
    """A stack that is told to stop at its second look."""

    url = "http://127.0.0.1:1"
    looks = 0

    def __enter__(self) -> "Up":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing runs."""

    def tend(self) -> None:
        self.looks += 1
        if self.looks > 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("keep", [True, False])
def test_the_demo_prints_and_leaves_a_report(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    stack, shown = Up(), io.StringIO()

    def start(settings: Any) -> Up:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        (settings.data_dir / "api-key").write_text("ft_x\n")
        return stack

    monkeypatch.setattr(run, "running_stack", start)
    monkeypatch.setattr(run, "Client", lambda *_: Recorded())
    monkeypatch.setattr(run, "draw_agreement", lambda bodies, path: path.touch())
    monkeypatch.setattr(run, "resident_megabytes", lambda _: 100.0)
    monkeypatch.setattr(run, "leaderboard_table", str)
    monkeypatch.setattr(run, "agreement_table", str)
    get_settings.cache_clear()
    folder = tmp_path / "demo"
    run.run_demo(folder=folder, is_quick=keep, keep=keep, console=Console(file=shown, width=120))
    assert json.loads((folder / "report.json").read_text())["schedule"] == {"submitted": 0, "reused": 1}
    assert (folder / "agreement.png").exists() is not keep
    assert "even" in (folder / "report.md").read_text()
    assert ("Ctrl-C stops everything" in shown.getvalue()) is keep
    assert stack.looks == (2 if keep else 0)
    if not keep:
        (tmp_path / "domains").mkdir()
        run.run_study(
            corpora=domains(tmp_path / "domains", 5), folder=tmp_path / "study", console=Console(file=shown, width=120)
        )
        assert (tmp_path / "study" / "report.json").exists()


def test_a_rate_at_the_edge_is_said(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    edge = StandardRate(rate=1e-3, is_interior=False, sweeps={"even": {1e-3: 1.0}})
    monkeypatch.setattr(Experiment, "find_standard_rate", lambda _: edge)
    experiment._tokenizer = {"fingerprint": "f" * 32}
    monkeypatch.setattr(Experiment, "register_data", lambda *_: None)
    run._train(experiment, [])
    assert isinstance(experiment.console.file, io.StringIO)
    assert "at the edge of the ladder" in experiment.console.file.getvalue()
