"""Hardware is detected; what is missing is said."""

import shutil
from pathlib import Path

import pytest
import torch

from proxy.errors import ForetasteError
from proxy.lm import device
from proxy.lm.device import detect


@pytest.fixture(autouse=True)
def _threads_as_before() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_fp32_is_fp32_and_the_threads_are_set() -> None:
    found = detect("fp32", "cpu", 1, want_compile=False)
    assert found.compute_dtype == torch.float32
    assert torch.get_num_threads() == 1
    assert not found.compile


def test_bf16_is_used_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert detect("bf16", "cpu", 1, want_compile=False).compute_dtype == torch.bfloat16


def test_without_fast_bf16_it_is_fp32_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    found = detect("bf16", "cpu", 1, want_compile=False)
    assert found.compute_dtype == torch.float32
    assert any("no fast bf16" in note for note in found.notes)


def test_without_a_compiler_it_is_eager_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = detect("fp32", "cpu", 1, want_compile=True)
    assert not found.compile
    assert any("install g++" in note for note in found.notes)


def test_without_python_headers_it_is_eager_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    monkeypatch.setattr(device.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    assert not detect("fp32", "cpu", 1, want_compile=True).compile


def test_a_protocol_for_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ForetasteError, match="no CUDA device"):
        detect("bf16", "cuda", 1, want_compile=False)
