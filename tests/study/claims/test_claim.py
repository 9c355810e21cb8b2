"""What a claim needs of a study, and statistics over points of its grid and over tasks."""

import numpy as np
import pytest
import xarray as xr

from rare_retention.study.claims.claim import (
    NotTested,
    over_points,
    over_tasks,
    require,
    require_sizes,
)

RESULTS = xr.Dataset(
    {
        "value": (("stream", "gap", "rate", "step"), np.arange(8.0).reshape(1, 2, 2, 2)),
        "finished": (("stream", "gap", "rate"), np.ones((1, 2, 2), bool)),
    },
    {"stream": [0], "gap": [4, 8], "rate": [0.1, 0.2], "step": [0, 1], "size": [2, 8]},
)


def last(point):
    return point["value"].isel(step=-1)


def test_what_the_results_lack_is_named():
    require(RESULTS, "value", "gap")
    with pytest.raises(NotTested, match=r"^the results hold no loss, signal$"):
        require(RESULTS, "loss", "value", "signal")


def test_one_size_compares_nothing():
    require_sizes(RESULTS)
    with pytest.raises(NotTested, match="one size only"):
        require_sizes(RESULTS.isel(size=[0]))


def test_a_statistic_of_each_point_stands_along_one_dimension():
    found = over_points(RESULTS, last)
    assert found.dims == ("point", "stream")
    assert sorted(found.to_numpy().ravel()) == [1, 3, 5, 7]
    assert over_points(RESULTS, lambda p: last(p).sum("gap"), "gap").to_numpy().tolist() == [
        [6],
        [10],
    ]


def test_points_that_cannot_test_a_claim_do_not_count():
    def of_gap_8(point):
        if point["gap"] == 4:
            raise NotTested("the gap is 4")
        return last(point)

    assert sorted(over_points(RESULTS, of_gap_8).to_numpy().ravel()) == [5, 7]
    with pytest.raises(NotTested, match=r"^the gap is 4$"):
        over_points(RESULTS.isel(gap=[0]), of_gap_8)


def test_the_mean_is_over_tasks_and_points_alike():
    def of_task(task, point):
        if task == 3:
            raise NotTested("task 3 is not learned")
        return last(point) * task

    found = over_tasks(RESULTS, (1, 2, 3), of_task)
    assert found.dims == ("stream",)
    assert found.to_numpy().tolist() == [(1 + 2) * (1 + 3 + 5 + 7) / 8]
    with pytest.raises(NotTested, match=r"^task 3 is not learned$"):
        over_tasks(RESULTS, (3,), of_task)
    with pytest.raises(NotTested, match="injects no task"):
        over_tasks(RESULTS, (), of_task)


def test_a_value_that_is_missing_is_not_left_out_of_the_mean():
    def of_task(task, point):
        return last(point) * (np.nan if task == 2 else 1)

    assert np.isnan(over_tasks(RESULTS, (1, 2), of_task)).all()
