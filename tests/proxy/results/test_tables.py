import pytest

from proxy.errors import InvalidInputError
from proxy.results.tables import MOST_SHOWN, Problems, in_body, in_file, parse_number, read_table, require_columns


def refusal(content: bytes) -> tuple[str, object, str]:
    problems = Problems(place=in_file("a.csv"))
    with pytest.raises(InvalidInputError) as refused:
        _read_all(content, problems)
    first = refused.value.problems[0]
    return first.pointer, first.value, first.message


def _read_all(content: bytes, problems: Problems) -> None:
    read_table(content, problems)
    problems.raise_any()


def test_records_keep_the_line_where_they_begin() -> None:
    content = b'\xef\xbb\xbfrecipe, value\r\n\r\na,1\r\n"two\nlines", 2 \r\nc,3\r\n'
    table = read_table(content, Problems(place=in_body))
    assert table.columns == ("recipe", "value")
    assert [(row.index, row.line, row.cells["value"]) for row in table.rows] == [(0, 3, "1"), (1, 4, "2"), (2, 6, "3")]


@pytest.mark.parametrize(
    ("content", "pointer", "words"),
    [
        (b"", "a.csv line 1", "is empty"),
        (b"\n \n", "a.csv line 1", "is empty"),
        (b"recipe,value\n", "a.csv line 1", "no record"),
        ("recipe,value\na,1".encode("utf-16"), "a.csv line 1", "looks like UTF-16"),
        (b"recipe,value\na,1\n\xe9t\xe9,2\n", "a.csv line 3", "not UTF-8 (byte 17)"),
        (b"recipe,value\na\0,1\n", "a.csv line 2", "NUL"),
        (b"recipe;value\na;1\n", "a.csv line 1", "semicolons"),
        (b"recipe\tvalue\na\t1\n", "a.csv line 1", "tabs"),
        (b"recipe,value,value\na,1,2\n", "a.csv line 1, column value", "repeat"),
        (b"recipe,value\na,1\nb\n", "a.csv line 3", "1 cells where the header has 2"),
        (b"recipe,value\na,1,5\n", "a.csv line 2", "3 cells where the header has 2"),
        (b'recipe,value\na,1\n"b,2\n', "a.csv line 3", "no CSV"),
        (b"recipe,value\n" + b"a" * 200_000 + b",1\n", "a.csv line 2", "no CSV"),
    ],
)
def test_what_is_no_table_says_where_and_why(content: bytes, pointer: str, words: str) -> None:
    where, _, message = refusal(content)
    assert where == pointer
    assert words in message


def test_missing_columns_are_named_with_those_that_are_there() -> None:
    problems = Problems(place=in_body)
    table = read_table(b"name,value\na,1\n", problems)
    with pytest.raises(InvalidInputError) as refused:
        require_columns(table, ("recipe", "value"), problems)
    assert [(one.pointer, one.value) for one in refused.value.problems] == [("/header/recipe", "name,value")]


def test_a_bodys_faults_are_pointers_with_the_line_in_words() -> None:
    problems = Problems(place=in_body)
    table = read_table(b"recipe,a/b\n\nx,1\ny,2\n", problems)
    problems.add(table.rows[1], "a/b", "is wrong")
    with pytest.raises(InvalidInputError) as refused:
        problems.raise_any()
    assert str(refused.value) == "/rows/1/a~1b: line 4: is wrong (got '2')"
    assert problems.rows == {1}


def test_no_more_faults_are_shown_than_people_read() -> None:
    content = b"recipe,value\n" + b"x\n" * (MOST_SHOWN + 30)
    problems = Problems(place=in_body)
    read_table(content, problems)
    shown = problems.shown()
    assert len(shown) == MOST_SHOWN + 1
    assert (shown[-1].value, len(problems.rows)) == (30, MOST_SHOWN + 30)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("-2", -2),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("1_0", None),
        ("1,5", None),
        ("", None),
    ],
)
def test_a_number_is_finite_and_written_as_usual(text: str, value: float | None) -> None:
    assert parse_number(text) == value
