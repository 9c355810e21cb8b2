"""Savings and gains of planted curves of learning."""

import numpy as np
import pytest
import xarray as xr

from rare_retention.evidence import savings

STEPS = np.arange(0, 101, 5)


def curve(*times, steps=STEPS, offset=0):
    """Levels that pass 0.9 at these steps, one unit each; nan: never."""
    rows = [np.where(steps >= (1e9 if np.isnan(t) else t), 0.95, 0.2) for t in times]
    return xr.DataArray(np.array(rows), {"step": steps + offset}, ("stream", "step"))


def test_savings_are_one_minus_relearning_over_learning():
    found = savings.savings(curve(80, 40, 50), curve(20, 40, 75, offset=900), 0.9)
    assert found["savings"].values == pytest.approx([0.75, 0, -0.5])
    assert found["low"].values == pytest.approx(found["high"].values)
    assert found["reason"].values.tolist() == [""] * 3
    assert savings.interval(found).estimate == pytest.approx(0.25 / 3)


def test_one_state_at_the_criterion_is_none():
    """Twice in a row: a peak alone does not count, nor one in the last state."""
    level = xr.DataArray(
        [0.1, 0.95, 0.2, 0.9, 0.91, 0.3], {"step": [10, 11, 13, 16, 20, 30]}, ("step",)
    )
    assert savings.to_criterion(level, 0.9)["steps"].item() == 6
    last = savings.to_criterion(level.isel(step=slice(4)), 0.9)
    assert (last["steps"].item(), last["censored"].item()) == (6, True)


def test_what_did_not_get_to_the_criterion_is_a_bound_with_a_name():
    nan = np.nan
    found = savings.savings(curve(nan, 50, nan, 0, 50), curve(20, nan, nan, 20, 20), 0.9)
    assert found["reason"].values.tolist() == [
        savings.UNLEARNED, savings.NOT_AGAIN, savings.NEVER, savings.KNOWN, "",
    ]  # fmt: skip
    assert np.isnan(found["savings"]).values.tolist() == [True] * 4 + [False]
    # Learning took 100 steps at least: 0.8 or more. Relearning did: 1 - 100/50 or less.
    assert found["low"].values == pytest.approx([0.8, -np.inf, -np.inf, nan, 0.6], nan_ok=True)
    assert found["high"].values == pytest.approx([1, -1, 1, nan, 0.6], nan_ok=True)
    several = savings.interval(found)
    assert (several.units, several.missing, several.censored) == (4, 1, 3)


def test_a_missing_state_matters_until_the_criterion_is_met():
    early, late = curve(50, 50), curve(50, 50)
    early[0, 3] = late[1, 15] = np.nan
    found = savings.to_criterion(early, 0.9)
    assert np.isnan(found["steps"]).values.tolist() == [True, False] and not found["censored"].any()
    assert savings.to_criterion(late, 0.9)["steps"].values.tolist() == [50, 50]
    named = savings.savings(early, late, 0.9)
    assert named["reason"].values.tolist() == [savings.MISSING, ""]


def cycles(gain, exposure):
    return xr.Dataset(
        {"gain": (("stream", "cycle"), gain), "exposure": (("stream", "cycle"), exposure)}
    )


def test_gains_by_burst_and_by_row():
    """The second stream has one measured cycle, of its third exposure."""
    nan = np.nan
    of = cycles([[0.2, 0.4], [0.3, nan]], [[0.0, 2.0], [2.0, nan]])
    rows = xr.DataArray([[10, 99, 20, 99], [99, 99, 60, 99]], dims=("stream", "exposure"))
    found = savings.gains(of, rows)
    assert found["burst"].values == pytest.approx([0.3, 0.3])
    assert found["row"].values == pytest.approx([0.02, 0.005])
    alike = savings.gains(of, rows.isel(stream=0, drop=True))
    assert alike["row"].values == pytest.approx([0.02, 0.015])
    first = savings.gains(of, rows, of["exposure"] == 0)
    assert first["row"].values == pytest.approx([0.02, nan], nan_ok=True)


def test_a_missing_gain_is_missing():
    of = cycles([[0.2, np.nan]], [[0.0, 1.0]])
    found = savings.gains(of, xr.DataArray([[5.0, 5.0]], dims=("stream", "exposure")))
    assert np.isnan(found["burst"]).all() and np.isnan(found["row"]).all()
