import pytest

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import Direction
from proxy.results.scores import Where, parse_where, read_scores


def faults(text: str, direction: Direction = "lower", *where: Where) -> list[tuple[str, object]]:
    with pytest.raises(InvalidInputError) as refused:
        read_scores(text.encode(), "a.csv", direction, where)
    return [(one.pointer.removeprefix("a.csv "), one.value) for one in refused.value.problems]


def test_columns_without_a_meaning_of_their_own_are_hyperparameters() -> None:
    text = "recipe,value,seed,learning_rate,weight_decay,schedule,source,axis\na,1,3.0,1e-3,0.1,cosine,paper,filter\n"
    table = read_scores(text.encode(), "a.csv", "lower")
    point = table.points[0]
    assert (point.recipe, point.value, point.seed, point.learning_rate) == ("a", 1.0, 3, 1e-3)
    assert point.other == '{"schedule": "cosine", "weight_decay": "1.00000e-01"}'
    assert table.axes == {"a": "filter"}


def test_every_fault_is_named_row_by_row() -> None:
    text = "recipe,value,seed,learning_rate,batch,axis\n"
    text += "a,nan,0,1e-3,1,x\nb,1,-1,1e-3,1,x\n,1,0,0,1,x\nc,inf,0,1e-3,nan,x\na,x,1.5,1e-3,1,y\n"
    assert faults(text) == [
        ("line 2, column value", "nan"),
        ("line 3, column seed", "-1"),
        ("line 4, column learning_rate", "0"),
        ("line 4, column recipe", ""),
        ("line 5, column batch", "nan"),
        ("line 5, column value", "inf"),
        ("line 6, column axis", "y"),
        ("line 6, column seed", "1.5"),
        ("line 6, column value", "x"),
    ]


def test_the_same_recipe_seed_and_hyperparameters_twice_is_a_fault() -> None:
    text = "recipe,value,seed,weight_decay\na,1,0,0.1\na,2,1,0.1\na,3,0,0.2\na,4,0,1e-1\n"
    assert faults(text) == [("line 5, column recipe", "a")]
    with pytest.raises(InvalidInputError, match="line 2 has the same"):
        read_scores(text.encode(), "a.csv", "lower")


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("bits_per_byte", "higher"), ("val_loss/pile_cc", "higher"), ("core_v1", "lower"), ("mmlu-accuracy", "lower")],
)
def test_a_direction_that_contradicts_the_metric_is_refused(metric: str, direction: Direction) -> None:
    assert faults(f"recipe,value,metric\na,1,{metric}\nb,2,{metric}\n", direction) == [
        ("line 2, column metric", metric)
    ]


def test_a_direction_column_must_say_the_same() -> None:
    assert faults("recipe,value,direction\na,1,higher\n") == [("line 2, column direction", "higher")]


def test_a_metric_of_unknown_direction_is_believed() -> None:
    assert read_scores(b"recipe,value,metric\na,1,elo\n", "a.csv", "higher").points


def test_two_metrics_or_sizes_in_a_table_need_a_filter() -> None:
    text = "recipe,value,metric,parameters\na,1,elo,1e6\na,2,core,1e6\na,3,elo,1e9\n"
    assert faults(text) == [("line 3, column metric", "core"), ("line 4, column parameters", "1e9")]
    kept = read_scores(text.encode(), "a.csv", "higher", [parse_where("metric=elo"), parse_where("parameters=1000000")])
    assert [point.value for point in kept.points] == [1.0]


def test_a_filter_compares_numbers_as_numbers_and_ignores_what_it_drops() -> None:
    text = "recipe,value,learning_rate\na,1,0.003\na,nan,0.1\na,3\n"
    kept = read_scores(text.encode(), "a.csv", "lower", [Where(column="learning_rate", value="3e-3")])
    assert (len(kept.points), kept.lines) == (1, (2,))
    assert faults(text, "lower", Where(column="rate", value="1")) == [
        ("line 1, column rate", "recipe,value,learning_rate")
    ]
    assert faults(text, "lower", Where(column="learning_rate", value="2")) == [("line 1", "learning_rate=2")]


@pytest.mark.parametrize("text", ["learning_rate", "=1", ""])
def test_a_filter_is_written_column_equals_value(text: str) -> None:
    with pytest.raises(InvalidInputError, match="column=value"):
        parse_where(text)


def test_a_run_that_was_given_up_has_no_value() -> None:
    good = read_scores(b"recipe,value,stopped_early\na,,true\nb,1,no\n", "a.csv", "lower")
    assert [(point.value, point.stopped_early) for point in good.points] == [(None, True), (1.0, False)]
    assert faults("recipe,value,stopped_early\na,1,true\nb,,false\nc,1,perhaps\n") == [
        ("line 2, column value", "1"),
        ("line 3, column value", ""),
        ("line 4, column stopped_early", "perhaps"),
    ]
