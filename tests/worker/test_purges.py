"""What of a content is removed from the artifact folder, and what is not."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.data.remote import cache_folder
from proxy.errors import ConflictError
from worker.artifacts import copies_folder, documents_folder, tokens_folder
from worker.purges import left_behind, purge


@dataclass(frozen=True)
class Place:
    artifact_dir: Path
    shared_store: str = ""


def write(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_everything_derived_goes_and_everything_else_stays(tmp_path: Path) -> None:
    place = Place(tmp_path / "artifacts")
    documents, tokens = documents_folder(place), tokens_folder(place)
    uri, other_uri = "s3://bucket/one", "s3://bucket/two"
    gone = [
        write(documents / "aa" / "key.npy"),
        write(documents / "aa" / "columns" / "words-1.npy"),
        write(documents / "bb" / "columns" / "overlap-n1-13-aa.npy"),
        write(documents / "known" / "1.json", json.dumps({"fingerprint": "aa"})),
        write(tokens / "aa" / "tok" / "shard-00000-00.tokens"),
        write(cache_folder(copies_folder(place), uri) / "copy"),
    ]
    kept = [
        write(documents / "bb" / "columns" / "overlap-n1-13-bb.npy"),
        write(documents / "known" / "2.json", json.dumps({"fingerprint": "bb"})),
        write(documents / "known" / "3.json", "cut o"),
        write(tokens / "bb" / "tok" / "shard-00000-00.tokens"),
        write(cache_folder(copies_folder(place), other_uri) / "copy"),
        write(tmp_path / "own.jsonl"),
        write(place.artifact_dir / "losses" / "run" / "aa.npz"),
    ]
    purged = purge(place, ["aa"], [uri, str(tmp_path / "own.jsonl")])
    assert (purged.files, purged.bytes) == (6, sum(len(text) for text in ("xxxxx", '{"fingerprint": "aa"}')))
    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert purge(place, ["aa"], [uri]).files == 0


def test_what_lies_again_is_found(tmp_path: Path) -> None:
    place = Place(tmp_path)
    write(tokens_folder(place) / "aa" / "tok" / "manifest.json")
    assert left_behind(place, ["aa", "bb"]) == ["aa"]


def test_what_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    write(tokens_folder(place) / "aa" / "tok" / "manifest.json")
    monkeypatch.setattr("worker.purges.shutil.rmtree", lambda *_, **__: None)
    with pytest.raises(ConflictError, match="could not be removed"):
        purge(place, ["aa"], [])
