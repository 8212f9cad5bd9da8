"""What several processes need compiled is compiled by one of them at a time, and waited for once."""

import fcntl
import threading
from pathlib import Path

import pytest

from proxy.lm import compiling
from proxy.lm.compiling import first_to_compile, key_of

STEP = {"layers": 2, "what": "step"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compiling, "cache_dir", lambda: str(tmp_path))
    return tmp_path / "foretaste"


def test_the_second_waits_for_the_first_and_the_third_for_nobody(folder: Path) -> None:
    order, inside, may_end = list[str](), threading.Event(), threading.Event()

    def first() -> None:
        with first_to_compile(STEP):
            inside.set()
            may_end.wait(5)
            order.append("first")

    def second() -> None:
        with first_to_compile(STEP):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(5)
    threads[1].start()
    with first_to_compile(STEP | {"layers": 3}):  # something else
        order.append("other")
    may_end.set()
    for thread in threads:
        thread.join(5)
    assert order == ["other", "first", "second"]
    lock = folder / f"{key_of(STEP)}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with first_to_compile(STEP):
            order.append("third")
    assert order[-1] == "third"


def test_what_failed_to_compile_is_not_noted(folder: Path) -> None:
    with pytest.raises(RuntimeError), first_to_compile(STEP):
        raise RuntimeError("no compiler")
    assert [path.suffix for path in folder.iterdir()] == [".lock"]
    with first_to_compile(STEP):
        pass
    assert len(list(folder.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(compiling, "cache_dir", lambda: str(tmp_path / "file"))
    compiled = []
    for _ in range(2):  # nothing can be noted, so everybody compiles
        with first_to_compile(STEP):
            compiled.append(STEP)
    assert len(compiled) == 2
    assert (tmp_path / "file").read_text() == "in the way"
