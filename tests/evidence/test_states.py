"""Which states and grid points are read, when runs are measured at different steps or missing."""

import numpy as np
import pytest
import xarray as xr

from rare_retention.evidence import states

NAN = np.nan


def series(values, steps=None, dims=("stream", "step")):
    values = np.asarray(values, np.float32)
    steps = np.arange(values.shape[-1]) if steps is None else steps
    return xr.DataArray(values, {"step": steps}, dims)


def grid():
    """Two gaps measured at different steps, and a third that has no finished run."""
    signal = np.full((1, 3, 2, 4), NAN, np.float32)
    signal[0, 0, :, [0, 2]] = 1
    signal[0, 1, :, [0, 3]] = 2
    return xr.Dataset(
        {
            "signal": (("stream", "gap", "task", "step"), signal),
            "frequency": (("gap", "task"), [[0.5, 0.5], [1.0, NAN], [NAN, NAN]]),
            "finished": (("stream", "gap"), [[True, True, False]]),
        },
        {"gap": [4, 8, 16], "task": ["a", "b"], "step": [0, 10, 20, 30], "watch": ["a", "b"]},
    )


def test_points_know_their_place_and_their_tasks():
    found = list(states.points(grid()))
    assert [int(point["gap"]) for point in found] == [4, 8]
    assert [point.sizes["task"] for point in found] == [2, 1]
    assert [states.rarest(point) for point in found] == ["b", "a"]
    assert [states.final(point["signal"]).max() for point in found] == [1, 2]


def test_points_can_keep_a_dimension():
    (point,) = states.points(grid(), ["gap"])
    assert point["signal"].sizes["gap"] == 3
    assert point["task"].values.tolist() == ["a", "b"]


def test_values_of_points_are_joined_along_their_dimension():
    def last(point):
        return states.final(point["signal"].isel(task=0))

    found = states.along(grid(), "gap", last)
    assert found["gap"].values.tolist() == [4, 8]
    assert found.isel(stream=0).values.tolist() == [1, 2]
    assert states.along(grid().isel(gap=0), "gap", last).sizes["gap"] == 1
    with pytest.raises(ValueError, match="no point along gap has been measured"):
        states.along(grid().isel(gap=[2]), "gap", last)


def test_unfinished_points_are_joined_on_request():
    results = grid()
    results["frequency"][2] = 0.5
    found = states.along(results, "gap", lambda point: point["signal"].max(), unfinished=True)
    assert found["gap"].values.tolist() == [4, 8, 16]


def test_a_study_without_a_grid_is_one_point():
    (point,) = states.points(grid().isel(gap=1))
    assert int(point["gap"]) == 8


def test_values_of_unfinished_runs_are_missing():
    results = grid().fillna(3)
    found = states.finished(results)
    assert found["signal"].sel(gap=16).isnull().all()
    assert found["signal"].sel(gap=[4, 8]).notnull().all()
    assert found["frequency"].equals(results["frequency"])
    assert found["signal"].dims == results["signal"].dims
    plain = results.drop_vars("finished")
    assert states.finished(plain) is plain


def test_final_is_the_last_measured_step_also_of_who_diverged():
    """The first stream diverges after step 1: its value there is not its final one."""
    values = series([[0, 1, NAN, NAN], [0, 2, 3, NAN]])
    assert states.final(values).isnull().values.tolist() == [True, False]
    assert states.final(values)[1] == 3
    assert states.measured(values)["step"].values.tolist() == [0, 1, 2]


def test_nothing_measured_is_nan():
    values = series(np.full((2, 3), NAN))
    for state in (states.final(values), states.halfway(values)):
        assert state.sizes == {"stream": 2}
        assert state.isnull().all()
    assert states.late(values).isnull().all()


def test_halfway_and_late_go_by_steps_not_by_measurements():
    values = series([[0, 1, 2, 3, 4]], [0, 90, 100, 180, 200])
    assert states.halfway(values)[0] == 2
    assert states.late(values).values.tolist() == [[3, 4]]
    assert states.late(values, 0.55).values.tolist() == [[1, 2, 3, 4]]


def test_streams_are_compared_at_common_steps():
    """Each has states of its own, around its exposures."""
    values = series([[0, 1, 2, NAN, 4, 5], [0, NAN, 2, 3, 4, NAN]])
    assert states.common(values)["step"].values.tolist() == [0, 1, 2, 4, 5]  # one ended before
    values = series([[0, 1, 2, NAN, 4, 5], [0, NAN, 2, 3, 4, 5]])
    assert states.common(values)["step"].values.tolist() == [0, 2, 4, 5]
    assert states.halfway(values).values.tolist() == [2, 2]
    assert states.late(values)["step"].values.tolist() == [4, 5]
    assert states.final(values).values.tolist() == [5, 5]
    one = values.isel(stream=1)
    assert states.common(one)["step"].values.tolist() == [0, 2, 3, 4, 5]


def test_a_stream_that_is_missing_takes_no_step_away():
    values = series([[0, NAN, 2, 3], [NAN] * 4])
    assert states.common(values)["step"].values.tolist() == [0, 2, 3]
    assert states.final(values).isnull().values.tolist() == [False, True]


def test_a_student_is_unbroken_where_its_stream_was_measured():
    values = np.array([[[0, 1, NAN], [0, 1, NAN]], [[0, NAN, 2], [0, NAN, NAN]], [[NAN] * 3] * 2])
    found = states.unbroken(series(values, dims=("stream", "size", "step")))
    assert found.values.tolist() == [[True, True], [True, False], [False, False]]


def test_complete_needs_every_value():
    values = xr.DataArray([[1.0, NAN], [1.0, 2.0]], dims=("stream", "size"))
    assert states.complete(values).values.tolist() == [False, True]


def test_mixture_orders_and_fills():
    point = xr.Dataset(
        {
            "frequency": ("task", [0.7, 0.3]),
            "spectrum": (("direction", "task"), [[1.0, 1.0], [0.5, NAN]]),
        }
    )
    prior, spectra = states.mixture(point)
    assert prior.tolist() == [0.7, 0.3]
    assert spectra.tolist() == [[1, 0.5], [1, 0]]


def test_the_rarest_task_is_the_least_frequent_one():
    """Wherever it stands; of equally rare ones it is the last."""
    places = {"task": ["z", "b", "y", "a"], "watch": ["a", "b", "z"]}
    cases = (
        ([0.2, 0.4, 0.1, 0.3], "z"),
        ([0.25] * 4, "a"),
        ([0.4, 0.1, 0.4, 0.1], "a"),
        ([0.6, 0.4, 0.0, 0.0], "b"),  # of those that are shown at all
        ([0.0, 0.0, 1.0, 0.0], "a"),  # none of the watched is
    )
    for shares, rarest in cases:
        assert states.rarest(xr.Dataset({"frequency": ("task", shares)}, places)) == rarest


def test_rarest_needs_a_watched_task():
    point = grid().isel(gap=0).isel(watch=slice(0, 0))
    with pytest.raises(ValueError, match="none of the watched"):
        states.rarest(point)


def test_dimensions_of_a_quantity_are_none_of_the_grid():
    """An architecture may record a share of each expert."""
    found = grid().assign(expert_share=("expert", [0.5, 0.5]))
    assert states.grid(found) == states.grid(grid()) == ("gap",)
