"""Shares left, times, equal text loss, equal compute and the frontier, against worked numbers."""

import made_language
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.evidence import states, text_tasks

NAN, INF = np.nan, np.inf
E = np.e


def series(rows, steps, **places):
    """Values [..., step]; each place is a dimension and its coordinate, outermost first.

    Sizes are called s0, s1, ...; their coordinate is their number of parameters.
    """
    dims = (*places, "step")
    if "size" in places:
        parameters = places.pop("size")
        places |= {"size": [f"s{i}" for i in range(len(parameters))]}
        places |= {"parameters": ("size", parameters)}
    return xr.DataArray(np.asarray(rows, np.float64), {**places, "step": steps}, dims)


def point(text, task, steps):
    """One unit's text loss and task loss [size, step]; guessing costs one nat."""
    loss = np.stack([np.asarray(text, np.float32), np.asarray(task, np.float32)], -1)
    return xr.Dataset(
        {
            "loss": (("stream", "size", "initialisation", "step", "task"), loss[None, :, None]),
            "chance": ("task", [NAN, 1 / E]),
            "unigram_entropy": 6.0,
        },
        {"size": ["small", "large"][: len(loss)], "step": steps, "task": ["text", "sum"]},
    )


def test_every_task_but_text_is_injected():
    assert text_tasks.injected(xr.Dataset(coords={"task": ["text", "sum", "order"]})) == [
        "sum",
        "order",
    ]


def test_guessing_costs_the_logarithm_of_the_labels():
    chance = xr.DataArray([[NAN, 0.5, 0.01], [NAN, NAN, NAN]], dims=("per_token", "task"))
    given_ = xr.Dataset({"chance": chance}, {"task": ["text", "order", "sum"]})
    assert text_tasks.guessing(given_, "order") == pytest.approx(np.log(2))
    assert text_tasks.guessing(given_, "sum") == pytest.approx(np.log(100))


def test_no_more_than_all_is_left():
    found = text_tasks.left(point([[9, 5]], [[7, 0.25]], [0, 4]), "sum")
    assert found.dims == ("stream", "size", "initialisation", "step")
    np.testing.assert_allclose(found.to_numpy().ravel(), [1, 0.25])


def test_a_missing_state_leaves_nothing_to_say():
    found = text_tasks.left(point([[9, 5], [9, NAN]], [[1, 0.25], [1, NAN]], [0, 4]), "sum")
    assert np.isnan(found.sel(size="large", step=4)).all()
    assert found.sel(size="small", step=4) == pytest.approx(0.25)


def test_compute_is_six_flops_for_each_parameter_and_token():
    values = series(np.zeros((2, 2)), [0, 3], size=[10, 40])
    assert text_tasks.compute(values, 5).values.tolist() == [[0, 900], [0, 3600]]


def test_tokens_of_a_step_are_those_of_the_grid_point():
    """Of batches of 64 and 128 rows of 16 tokens, and of rows of 32."""
    base = made_language.language((), streams=1, steps=[0, 100])
    found = made_language.varied(base, batch=(64, 128), window=(16, 32))
    assert {
        (int(point["batch"]), int(point["window"])): text_tasks.step_tokens(point)
        for point in states.points(found)
    } == {(64, 16): 1024, (64, 32): 2048, (128, 16): 2048, (128, 32): 4096}


@pytest.mark.parametrize(
    ("row", "step"),
    [
        ([8, 4, 2, 1], 15),  # 3 lies half way between 4 and 2
        ([8, 3, 2, 1], 10),
        ([8, 2, 9, 1], 0 + 10 * 5 / 6),  # the first time counts
        ([3, 9, 9, 9], 0),
        ([8, 7, 6, 5], INF),
        ([8, 2, NAN, 1], NAN),
    ],
)
def test_the_first_step_at_a_level_lies_between_states(row, step):
    found = text_tasks.first_reach(series(row, [0, 10, 20, 40]), 3.0)
    np.testing.assert_allclose(found, step)


def test_levels_of_their_own_dimension_are_all_looked_for():
    levels = xr.DataArray([[8.0, 4.0], [1.0, NAN]], dims=("level", "stream"))
    values = series([[8, 6, 0], [4, 2, 0]], [0, 1, 2], stream=[0, 1])
    found = text_tasks.first_reach(values, levels).transpose("level", "stream")
    np.testing.assert_allclose(found, [[0, 0], [1 + 5 / 6, NAN]])


def test_values_are_read_between_states_and_not_beyond():
    values = series([8, 4, 0], [2, 4, 8])
    at = xr.DataArray([2, 3, 6, 8, 1, 9, INF, NAN], dims="at")
    found = text_tasks.at_step(values, at)
    np.testing.assert_allclose(found, [8, 6, 2, 0, NAN, NAN, NAN, NAN])


@given(
    st.lists(st.floats(0.1, 10), min_size=3, max_size=6),
    st.floats(0, 1),
)
def test_what_is_read_where_a_level_is_reached_is_the_level(values, part):
    curve = series(np.sort(values)[::-1], np.arange(len(values)) * 10)
    level = float(curve[-1] + part * (curve[0] - curve[-1]))
    step = text_tasks.first_reach(curve, level)
    if np.isfinite(step):  # rounding may put the level below the last state
        assert float(text_tasks.at_step(curve, step)) == pytest.approx(level, rel=1e-9)


def test_sizes_share_text_losses_down_to_the_worse_ones_lowest():
    here = point([[8, 5, 4.5], [8, 4, 2]], np.ones((2, 3)), [0, 1, 2])
    assert text_tasks.shared_text_losses(here, 1).values.ravel().tolist() == [4.5]
    assert text_tasks.shared_text_losses(here, 4).values.ravel().tolist() == [4.5, 5, 5.5, 6]


def test_a_size_that_only_knows_the_unigrams_shares_no_text_loss():
    here = point([[8, 7, 6.5], [8, 4, 2]], np.ones((2, 3)), [0, 1, 2])
    assert np.isnan(text_tasks.shared_text_losses(here, 2)).all()
    lost = point([[8, 5, NAN], [8, 4, 2]], np.ones((2, 3)), [0, 1, 2])
    assert np.isnan(text_tasks.shared_text_losses(lost, 2)).all()


def test_tasks_are_compared_at_the_same_text_loss():
    text = [[8, 6, 4], [8, 4, 2]]
    here = point(text, [[1, 0.9, 0.8], [1, 0.6, 0]], [0, 10, 20])
    found = text_tasks.at_text_loss(here, "sum", xr.DataArray([4.0, 6.0], dims="level"))
    found = found.isel(stream=0, initialisation=0).transpose("size", "level")
    # The large one passes 6 at step 5, half way between 1 and 0.6.
    np.testing.assert_allclose(found, [[0.8, 0.9], [0.6, 0.8]], rtol=1e-6)


def test_neighbours_are_compared_at_the_compute_of_the_smaller():
    rows = [[9, 3, 1], [9, 5, 4], [9, 6, 2]]
    values = series(rows, [0, 10, 20], size=[10, 40, 80])
    smaller, larger = text_tasks.at_equal_compute(values)
    # 40 parameters have the compute of 20 steps of 10 at step 5, 80 parameters of 40 at step 10.
    assert smaller.values.tolist() == [1, 4]
    assert larger.values.tolist() == [7, 6]


def test_the_frontier_holds_what_no_less_compute_betters():
    loss = series([[9, 4, 3.5], [9, 5, 1]], [0, 1, 2], size=[10, 30])
    found = text_tasks.frontier(loss, 1)
    assert found["compute"].values.tolist() == [60, 120, 360]
    assert found["loss"].values.tolist() == [4, 3.5, 1]
    assert found["size"].values.tolist() == ["s0", "s0", "s1"]


def test_of_equal_compute_the_better_size_is_on_the_frontier():
    loss = series([[4, 3], [2, 5]], [1, 2], size=[10, 20])
    found = text_tasks.frontier(loss, 1)
    assert found["compute"].values.tolist() == [60, 120]
    assert found["size"].values.tolist() == ["s0", "s1"]
    assert found["loss"].values.tolist() == [4, 2]


def test_missing_states_are_on_no_frontier():
    loss = series([[9, NAN, NAN], [9, 5, NAN]], [0, 1, 2], size=[10, 30])
    assert text_tasks.frontier(loss, 1)["size"].values.tolist() == ["s1"]
    assert text_tasks.frontier(loss * NAN, 1).sizes["state"] == 0


def times(*rows, rates=(1e-7, 1e-6, 1e-5)):
    """Steps [per_token, size] for one stream and initialisation; a row for each size."""
    values = np.asarray(rows, np.float64)[None, :, None]
    dims = ("stream", "size", "initialisation", "per_token")
    return xr.DataArray(values, {"per_token": list(rates)}, dims)


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        ([[30, 20, 10]], 1),
        ([[10, 20, 30]], 0),
        ([[INF, INF, 10]], 1),  # the pair that is never learned does not count
        ([[INF, 5, 10]], 2 / 3),
        ([[30, 20, 10], [INF, INF, INF]], 1),
        ([[30, 20, 10], [10, 20, INF]], 0.5),
        ([[10, 10, 10]], 0),
        ([[INF, INF, INF]], NAN),
        ([[30, 20, NAN]], NAN),
    ],
)
def test_pairs_of_frequencies_are_learned_in_order(rows, share):
    np.testing.assert_allclose(text_tasks.learned_in_order(times(*rows)), [[share]])
    turned = times(*[row[::-1] for row in rows], rates=(1e-5, 1e-6, 1e-7))
    np.testing.assert_allclose(text_tasks.learned_in_order(turned), [[share]])


def test_what_is_left_is_read_at_common_steps():
    """A stream may be measured at steps of its own, around its exposures."""
    point = made_language.language(()).isel(step=slice(0, 6)).copy(deep=True)
    alone = int(point["step"][3])
    point["loss"].loc[{"stream": 1, "step": alone}] = np.nan
    for values in (text_tasks.left(point, "comparison"), text_tasks.text_loss(point)):
        assert alone not in values["step"] and values.sizes["step"] == 5
        assert values.notnull().all()
