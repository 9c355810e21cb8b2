"""How states stand to exposures, in streams that are exposed at different steps."""

import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from made_exposures import burst, streams

from rare_retention.evidence import exposures

NAN = np.nan


def series(rows, steps):
    return xr.DataArray(np.array(rows, float), {"step": steps}, ("stream", "step"))


@given(
    st.lists(st.integers(0, 30), min_size=1, unique=True).map(sorted),
    st.lists(st.integers(0, 30), unique=True).map(sorted),
)
def test_states_count_exposures_as_a_plain_loop_does(steps, shown):
    """Batch t trains state t to t + 1."""
    padded = np.array([*shown, NAN, NAN], float)
    found = exposures.near(np.array(steps), padded)
    for i, step in enumerate(steps):
        before = [t for t in shown if t < step]
        after = [t for t in shown if t >= step]
        assert found.number[i] == len(before)
        assert found.since[i] == step - before[-1] if before else np.isnan(found.since[i])
        assert found.until[i] == after[0] - step if after else np.isnan(found.until[i])


def test_exposures_are_those_of_the_rarest_watched_task_or_another():
    point = xr.Dataset(
        {
            "exposure_step": (("stream", "watch", "exposure"), [[[3.0, 9], [5, NAN]]]),
            "frequency": ("task", [0.7, 0.2, 0.1]),
        },
        {"watch": ["b", "c"], "task": ["a", "b", "c"]},
    )
    assert exposures.of(point).isel(stream=0, exposure=0) == 5
    assert exposures.of(point, "b").values.tolist() == [[3, 9]]


def test_each_stream_has_its_own_steps_and_exposures():
    values = series([[0, NAN, 2, 3], [0, 1, NAN, 3], [NAN] * 4], [0, 4, 8, 12])
    found = [
        (own.values.tolist(), own["step"].values.tolist(), shown.tolist())
        for own, shown in exposures.by_stream(values, streams([4], [8], []))
    ]
    assert found[:2] == [([0, 2, 3], [0, 8, 12], [4]), ([0, 1, 3], [0, 4, 12], [8])]
    (own, shown) = next(iter(exposures.by_stream(values.isel(stream=0), burst(8, 12))))
    assert own["step"].values.tolist() == [0, 8, 12] and shown.tolist() == [7]


def test_before_last_is_the_last_state_whose_batch_is_an_exposure():
    values = series([[0, 1, 2, 3]], [0, 7, 15, 16])
    assert exposures.before_last(values, burst(8, 16))[0] == 2
    assert exposures.before_last(values, burst(5, 16)) is None
    assert exposures.before_last(values, burst(1, 16))[0] == 3
    assert exposures.before_last(values, burst(8, 16), late=0.25)[0] == 2
    assert exposures.before_last(values, streams([7]), late=0.25) is None
    assert exposures.before_last(values, streams([7]), late=0.75)[0] == 1


def test_before_last_is_read_in_each_stream():
    """Not of one that ended early: its last state is not that of the others."""
    steps = [0, 5, 9, 10, 12]
    values = series([[0, 1, NAN, 3, 4], [0, NAN, 2, 3, 4], [0, 1, 2, NAN, NAN]], steps)
    shown = streams([1, 5], [2, 9], [5, 9])
    found = exposures.before_last(values, shown)
    np.testing.assert_array_equal(found, [1, 2, NAN])
    assert found.dims == ("stream",)
    none = exposures.before_last(values, streams([1], [9], [5]))
    np.testing.assert_array_equal(none, [NAN, 2, NAN])


def test_rows_are_those_of_each_streams_own_exposures():
    count = [[[8.0, 4.0, 2.0]], [[7.0, 5.0, np.nan]]]
    point = xr.Dataset(
        {"exposure_count": (("stream", "watch", "exposure"), count), "frequency": ("task", [0.1])},
        {"task": ["rare"], "watch": ["rare"]},
    )
    number = xr.DataArray([[0, 2], [1, np.nan]], dims=("stream", "cycle"))
    found = exposures.rows(point, number)
    np.testing.assert_array_equal(found, [[8, 2], [5, np.nan]])
