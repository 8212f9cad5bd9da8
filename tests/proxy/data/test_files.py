"""Roots: nothing outside them is read, whichever way a path, a glob or a link leads there."""

from pathlib import Path

import pytest

from proxy.data.corpora import read_documents
from proxy.data.files import CorpusLocation, find_files, is_url, require_within
from proxy.errors import InvalidInputError
from tests.proxy.data.material import records, write


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A root with a corpus, beside a folder that is none."""
    for name in ("inside", "outside", "inside-too"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "a.jsonl", records(name))
    return tmp_path / "inside"


def refusal(uri: Path | str, *roots: Path | str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        find_files(CorpusLocation(uri=str(uri), roots=tuple(map(str, roots))))
    (problem,) = caught.value.problems
    assert problem.pointer == "/uri"
    return problem.message


@pytest.mark.parametrize("uri", ["a.jsonl", "", "*.jsonl", "../inside/a.jsonl", "../*/../inside"][:4])
def test_what_lies_in_a_root_is_read(inside: Path, uri: str) -> None:
    location = CorpusLocation(uri=str(inside / uri), roots=("/nowhere", str(inside)))
    assert [document.text for document in read_documents(location)] == ["inside"]


@pytest.mark.parametrize(
    "uri",
    ["../outside/a.jsonl", "../outside", "../outside/*.jsonl", "../*/a.jsonl", "..", "/etc/passwd", "../inside-too"],
)
def test_what_lies_outside_is_refused_before_it_is_looked_for(inside: Path, uri: str) -> None:
    assert refusal(inside / uri, inside) == f"lies outside of what may be read: {inside}"
    assert refusal(inside / uri.replace("a.jsonl", "missing.jsonl"), inside).startswith("lies outside")


def test_a_way_up_after_a_wildcard_is_refused(inside: Path) -> None:
    (inside / "deep").mkdir()
    assert refusal(inside / "*/../../outside/*.jsonl", inside) == "'..' may not follow a wildcard"


@pytest.mark.parametrize("uri", ["", "link.jsonl", "*.jsonl", "folder/a.jsonl", "folder", "*/a.jsonl"])
def test_links_that_lead_out_are_refused(inside: Path, uri: str) -> None:
    (inside / "link.jsonl").symlink_to(inside.parent / "outside" / "a.jsonl")
    (inside / "folder").symlink_to(inside.parent / "outside")
    assert refusal(inside / uri, inside).startswith("lies outside of what may be read")


def test_links_that_stay_inside_are_followed_and_a_root_may_be_a_link(inside: Path) -> None:
    (inside / "b.jsonl").symlink_to("a.jsonl")
    root = inside.parent / "root"
    root.symlink_to(inside)
    location = CorpusLocation(uri=str(root), roots=(str(root),))
    assert [document.text for document in read_documents(location)] == ["inside", "inside"]


def test_a_loop_of_links_is_an_error(inside: Path) -> None:
    (inside / "loop").symlink_to("loop")
    assert refusal(inside / "loop" / "a.jsonl", "/")


def test_nothing_is_read_without_roots(inside: Path) -> None:
    assert refusal(inside) == "lies outside of what may be read: nothing"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/text",
        "s3://bucket/texts/a.jsonl",
        "s3://bucket",
        "s3://bucket*/text/a.jsonl",
        "S3://other/text",
        "memory://bucket/text",
        "http://bucket/text@evil/a.jsonl",
    ],
)
def test_urls_are_refused_unless_a_prefix_allows_them(uri: str) -> None:
    assert refusal(uri, "/").startswith("lies outside")
    if uri != "s3://bucket/text":
        assert refusal(uri, "/", "s3://bucket/text/", "http://bucket/text").startswith("lies outside")
    else:
        require_within(uri, ("/", "s3://bucket/text/"))


@pytest.mark.parametrize("way", ["..", "%2e%2e", ".%2E", "."])
def test_a_way_up_in_a_url_is_refused(way: str) -> None:
    message = refusal(f"s3://bucket/text/{way}/secret.jsonl", "s3://bucket/text")
    assert message == "'.' and '..' may not be part of a URL"


@pytest.mark.parametrize(
    "uri", ["simplecache::s3://bucket/a", "zip://a.jsonl::file:///etc/b.zip", "file:///etc/passwd", "local:///etc"]
)
def test_chains_and_file_urls_cannot_go_round_the_roots(uri: str) -> None:
    assert "chained and file URLs are not read" in refusal(uri, "/", "file:///", "s3://bucket", "zip://a.jsonl")


@pytest.mark.parametrize(("uri", "answer"), [("a.jsonl", False), ("C:/a", False), ("/a:b//c", False), ("s3://b", True)])
def test_a_url_has_a_protocol(uri: str, answer: bool) -> None:
    assert is_url(uri) is answer


def test_lines_by_another_name_are_read(tmp_path: Path) -> None:
    for name in ("a.ndjson", "b.ndjson.gz", "c.json.gz", "d.json.zst"):
        write(tmp_path, name, records(name))
    (tmp_path / "config.json").write_text("{}")
    found = [document.text for document in read_documents(CorpusLocation(uri=str(tmp_path)))]
    assert found == ["a.ndjson", "b.ndjson.gz", "c.json.gz", "d.json.zst"]
