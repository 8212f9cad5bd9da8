"""Reading corpora: every format gives the same documents, and every fault names its field and its place."""

import base64
import datetime
import decimal
import gzip
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from proxy.data.corpora import CorpusLocation, find_files, json_value, read_documents
from proxy.data.documents import scan_corpus
from proxy.errors import CorpusChangedError, FieldProblem, InvalidInputError
from tests.proxy.data.material import FORMATS, lines, records, write


def the_problem(location: CorpusLocation) -> FieldProblem:
    with pytest.raises(InvalidInputError) as caught:
        scan_corpus(location)
    (problem,) = caught.value.problems
    return problem


def read(path: Path, **options: object) -> list[str]:
    return [document.text for document in read_documents(CorpusLocation(uri=str(path), **options))]  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_text_and_the_fields_asked_for(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, f"a.{suffix}", [{"body": "é\n1", "page": 3, "rest": "x"}, {"body": "", "page": None}])
    location = CorpusLocation(uri=str(path), text_field="body", fields=("page",))
    first, second = read_documents(location)
    assert (first.text, first.fields) == ("é\n1", {"page": 3})
    assert (second.text, second.fields) == ("", {"page": None})


def test_a_folder_is_read_recursively_in_sorted_order_and_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path / "b", "1.jsonl.gz", records("third"))
    write(tmp_path, "a.jsonl", records("first", "second"))
    (tmp_path / "README.md").write_text("no corpus")
    assert read(tmp_path) == ["first", "second", "third"]


def test_a_glob_matches_several_files_and_a_name_with_brackets_is_a_name(tmp_path: Path) -> None:
    write(tmp_path, "a1.jsonl", records("one"))
    write(tmp_path, "a2.jsonl", records("two"))
    write(tmp_path, "[odd].jsonl", records("odd"))
    assert read(tmp_path / "a?.jsonl") == ["one", "two"]
    assert read(tmp_path / "[odd].jsonl") == ["odd"]


def test_blank_lines_a_byte_order_mark_and_a_missing_last_line_break_are_forgiven(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "one"}\r\n\n  \n{"text": "two"}')
    assert read(path) == ["one", "two"]


def test_zstandard_frames_may_follow_each_other_and_lines_may_cross_them(tmp_path: Path) -> None:
    content = lines(records("one", "two", "three"))
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(content[:20]) + zstandard.compress(content[20:].rstrip()))
    assert read(path) == ["one", "two", "three"]


def test_a_document_larger_than_a_chunk_arrives_whole(tmp_path: Path) -> None:
    long = "".join(chr(33 + i * i % 90) for i in range(400_000))
    assert read(write(tmp_path, "a.jsonl.zst", records(long, "short"))) == [long, "short"]


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst"])
@pytest.mark.parametrize("kept", [3, 0.5, -1])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    path = write(tmp_path, f"a.{suffix}", records(*map(str, range(200))))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if 0 < kept < 1 else int(kept)])
    problem = the_problem(CorpusLocation(uri=str(path)))
    assert problem.pointer == "/uri"
    assert str(problem.value).startswith(f"{path}:")
    assert "damaged or truncated" in problem.message


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst", "parquet"])
def test_a_file_that_is_not_what_its_name_says_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"plainly something else, and long enough to be looked at")
    problem = the_problem(CorpusLocation(uri=str(path)))
    assert problem.pointer == "/uri"
    assert str(path) in str(problem.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": ', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "is not a JSON object but list"),
        (b"null", "is not a JSON object but NoneType"),
        (b'{"text": "\xff"}', "is not UTF-8"),
        ('{"text": "a"}'.encode("utf-16"), "is not UTF-8"),
        (rb'{"text": "\ud800"}', "lone surrogates"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\n' + line)
    problem = the_problem(CorpusLocation(uri=str(path)))
    assert (problem.pointer, problem.value) == ("/uri", f"{path}:2")
    assert message in problem.message


@pytest.mark.parametrize(
    ("record", "message"),
    [({"body": "a"}, "has no such field; it has body"), ({}, "it has none"), ({"text": 7}, "holds int there")],
)
def test_a_document_without_text_is_named(tmp_path: Path, record: dict[str, object], message: str) -> None:
    path = write(tmp_path, "a.jsonl", [*records("good"), record])
    problem = the_problem(CorpusLocation(uri=str(path)))
    assert (problem.pointer, problem.value) == ("/text_field", "text")
    assert f"{path}:2" in problem.message
    assert message in problem.message


def test_parquet_without_the_text_field_or_a_field_is_refused_before_a_row_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet", [{"body": "a", "page": 1}])
    problem = the_problem(CorpusLocation(uri=str(path)))
    assert (problem.pointer, problem.value) == ("/text_field", "text")
    assert "it has body, page" in problem.message
    problem = the_problem(CorpusLocation(uri=str(path), text_field="body", fields=("page", "url")))
    assert (problem.pointer, problem.value) == ("/fields/1", "url")


def test_parquet_rows_without_text_or_with_bytes_that_are_no_utf_8_are_named(tmp_path: Path) -> None:
    problem = the_problem(CorpusLocation(uri=str(write(tmp_path, "a.parquet", [{"text": "a"}, {"text": None}]))))
    assert "row 2 holds NoneType there, not text" in problem.message
    broken = pyarrow.array([b"\xff"], pyarrow.binary()).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"text": broken}), tmp_path / "b.parquet")
    problem = the_problem(CorpusLocation(uri=str(tmp_path / "b.parquet")))
    assert (problem.pointer, problem.value) == ("/uri", str(tmp_path / "b.parquet"))


def test_a_field_that_no_document_has_is_a_misspelt_one(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [{"text": "a", "url": "x"}, {"text": "b"}])
    problem = the_problem(CorpusLocation(uri=str(path), fields=("url", "sorce")))
    assert (problem.pointer, problem.value) == ("/fields/1", "sorce")


@pytest.mark.parametrize("name", ["missing.jsonl", "missing-*.jsonl", "empty", "nul\0.jsonl"])
def test_nothing_there_is_an_error_with_the_uri(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    problem = the_problem(CorpusLocation(uri=str(tmp_path / name)))
    assert (problem.pointer, problem.value) == ("/uri", str(tmp_path / name))
    assert problem.message == "no file is there"


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n")
    with pytest.raises(InvalidInputError, match=r"unknown file type; known are \.jsonl, .*a\.csv"):
        find_files(CorpusLocation(uri=str(tmp_path / "*.csv")))


@pytest.mark.parametrize("suffix", FORMATS[:3])
@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_corpus_is_an_error(tmp_path: Path, suffix: str, content: bytes) -> None:
    packed = {"jsonl": content, "jsonl.gz": gzip.compress(content), "jsonl.zst": zstandard.compress(content)}
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(packed[suffix])
    assert the_problem(CorpusLocation(uri=str(path))).message == "holds no document"
    path.write_bytes(b"")
    assert the_problem(CorpusLocation(uri=str(path))).message == "holds no document"


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a.jsonl", records("a"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may open everything, so no real file refuses it
    problem = the_problem(CorpusLocation(uri=str(path)))
    assert (problem.pointer, problem.value) == ("/uri", str(path))
    assert "Permission denied" in problem.message


def test_field_values_become_what_json_can_say() -> None:
    values = {
        1: [1.0, 0.5, float("nan"), True, None, "a\ud800"],
        "when": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
        "rest": ({"price": decimal.Decimal("1.50"), "raw": b"\xff"},),
    }
    assert json.loads(json.dumps(json_value(values), allow_nan=False)) == {
        "1": [1, 0.5, None, True, None, "a?"],
        "when": "2020-01-02T00:00:00+00:00",
        "rest": [{"price": "1.50", "raw": "ff"}],
    }


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("change", ["rewritten", "removed"])
def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path, suffix: str, change: str) -> None:
    path = write(tmp_path, f"a.{suffix}", records(*map(str, range(5000))))
    documents = read_documents(CorpusLocation(uri=str(path)))
    next(documents)
    if change == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CorpusChangedError, match=f"{path.name} changed while it was read"):
        list(documents)


def test_a_later_file_that_changes_before_its_turn_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", records("one"))
    later = write(tmp_path, "b.jsonl", records("two"))
    documents = read_documents(CorpusLocation(uri=str(tmp_path)))
    next(documents)
    later.write_bytes(lines(records("two", "three")))
    with pytest.raises(CorpusChangedError, match=r"b\.jsonl"):
        list(documents)


@pytest.mark.parametrize("suffix", ["jsonl.zst", "parquet"])
def test_a_document_of_fifty_megabytes_is_read_in_memory_of_its_own_size(tmp_path: Path, suffix: str) -> None:
    size = 50_000_000
    text = base64.encodebytes(Random(1).randbytes(size * 3 // 4)).decode()[:size]
    path = write(tmp_path, f"a.{suffix}", records("before", text, "after"))
    peak = subprocess.run(
        [sys.executable, "-c", READ_AND_MEASURE, str(path)], capture_output=True, text=True, check=True
    ).stdout
    documents, text_bytes, memory = map(int, peak.split())
    assert (documents, text_bytes) == (3, size + 11)
    assert memory < 10 * size  # raw, decompressed, decoded, parsed, encoded, folded; a list of words alone is as much


READ_AND_MEASURE = """
import re, sys
from proxy.data.corpora import CorpusLocation
from proxy.data.documents import scan_corpus
counts = scan_corpus(CorpusLocation(uri=sys.argv[1]))[1]
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())  # getrusage's peak may be the parent's
print(counts.documents, counts.text_bytes, int(peak[1]) * 1024)
"""


def test_invalid_utf_8_anywhere_names_its_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines(records("one", "two")) + b'{"text": "caf\xe9"}\n'))
    problem = the_problem(CorpusLocation(uri=str(path)))
    assert (problem.pointer, problem.value) == ("/uri", f"{path}:3")
    assert problem.message == "is not UTF-8: invalid continuation byte at byte 13"
