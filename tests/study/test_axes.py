"""What an axis sets at each place, what its places are called, and what is refused."""

import pytest

from rare_retention.config import ConfigError
from rare_retention.study.axes import Also, Axis, check_axis, check_sizes, label, overlap

STEPS = Axis(
    field="steps", values=(100, 400), also=(Also(field="optimizer.horizon", values=(200, 800)),)
)


def test_an_axis_knows_what_it_sets_at_each_place():
    assert STEPS.name == "steps" and STEPS.fields == ("steps", "optimizer.horizon")
    assert [STEPS.changes(i) for i in (0, 1)] == [
        {"steps": 100, "optimizer.horizon": 200},
        {"steps": 400, "optimizer.horizon": 800},
    ]
    assert Axis(field="exposure.gap", values=(1,)).name == "gap"
    assert Axis(field="exposure.gap", values=(1,), dimension="every").name == "every"


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((1, 2.5), [1, 2.5]),
        ((True, False), [True, False]),
        ((True, 1), ["True", "1"]),
        ((None, 0.5), ["None", "0.5"]),
        (((), (-1,)), ["()", "(-1,)"]),
    ],
)
def test_places_are_called_by_their_values(values, labels):
    assert Axis(field="batch", values=values).labels == labels
    assert [label(value, values) for value in values] == labels


def test_places_with_names_are_called_by_them():
    assert Axis(field="batch", values=(8, 9), named=("small", "large")).labels == ["small", "large"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("exposure.gap", "exposure.gap", True),
        ("exposure", "exposure.gap", True),
        ("setting.tasks[0].per_token", "setting.tasks", True),
        ("exposure.gap", "exposure.gap_seed", False),
        ("exposure.gap", "exposure.left_out", False),
    ],
)
def test_paths_overlap_where_one_is_inside_the_other(one, other, expected):
    assert overlap(one, other) is overlap(other, one) is expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"values": ()}, r"grid\[2\].values: expected at least one value, got none"),
        ({"values": (8, 8)}, r"grid\[2\].values: .* repeats a value; where `also` tells them"),
        (
            {"values": (1, 2), "also": (Also(field="optimizer.horizon", values=(1,)),)},
            r"grid\[2\].also\[0\].values: expected 2 values, one for each of batch, got 1",
        ),
        (
            {"values": (8, 9), "named": ("small",)},
            r"grid\[2\].named: expected 2 names, one for each of batch, got 1",
        ),
        ({"values": (8, 9), "named": ("small", "small")}, r"grid\[2\].named: .* repeats a name"),
        (
            {"values": (8, 9, 8), "named": ("a", "b", "c")},
            r"grid\[2\].named: 'a' and 'c' set the same; expected fields that differ",
        ),
    ],
)
def test_axes_that_cannot_be(fields, message):
    with pytest.raises(ConfigError, match=message):
        check_axis("grid[2]", Axis(field="batch", **fields))
    check_axis("grid[2]", STEPS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"values": (8,)}, r"grid\[0\].values: expected tuples of sizes, such as \(8,\), got"),
        (
            {"values": ((8,), (8, 16))},
            r"grid\[0\].values: 8 stands in 2 of them; expected each size once",
        ),
        (
            {"values": ((8,),), "named": ("eight",)},
            r"grid\[0\].named: sizes have names of their own; expected none",
        ),
    ],
)
def test_groups_of_sizes_that_cannot_be(fields, message):
    with pytest.raises(ConfigError, match=message):
        check_sizes("grid[0]", Axis(field="setting.widths", **fields))
    check_sizes("grid[0]", Axis(field="setting.widths", values=((8,), (16, 32))))
