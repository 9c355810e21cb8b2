"""Sums by block over gaps, their share of measured changes and the difference to a sham."""

import made_block_effects as made
import numpy as np
import pytest

from rare_retention.evidence import block_effects as evidence
from rare_retention.evidence import control

# After the first exposure, at 19, there are 80 updates, of which four hold the task.
COUNTED = 100 - 20 - 4


@pytest.fixture
def point():
    return made.study(sham=False).isel(left_out=0)


def test_blocks_are_summed_over_the_gaps_alone(point):
    found = evidence.over_gaps(point)
    assert found["steps"].values.tolist() == [COUNTED] * 2
    for order, planted in (("first", made.FIRST), ("second", made.SECOND)):
        values = found[order].isel(stream=0, initialisation=0)
        np.testing.assert_allclose(
            values.sel(block=["encoder", "decoders"]),
            np.array(planted) * COUNTED,
            rtol=1e-5,
            atol=1e-9,
        )
        np.testing.assert_allclose(values.sel(block="all"), np.sum(planted, 1) * COUNTED, rtol=1e-5)
        assert np.isnan(values.sel(block="neurons")).all()
    rise = np.sum(made.FIRST, 1) + np.sum(made.SECOND, 1) + made.MISSED
    measured = found["measured"].isel(stream=1, initialisation=0)
    np.testing.assert_allclose(measured, rise * COUNTED, rtol=1e-5)


def test_what_orders_explain_is_their_share_of_the_change(point):
    found = evidence.explained(point).isel(stream=0, initialisation=0)
    first, second = np.sum(made.FIRST, 1), np.sum(made.SECOND, 1)
    np.testing.assert_allclose(found["first"], first / (first + second + made.MISSED), rtol=1e-4)
    np.testing.assert_allclose(
        found["both"], (first + second) / (first + second + made.MISSED), rtol=1e-4
    )


def test_errors_of_two_signs_do_not_cancel(point):
    """A prediction that is as much above one change as it is below the next explains less."""
    sign = np.where(np.arange(point.sizes["step"]) % 2, 1.0, -1.0)
    shift = point["reference"] * 0 + 0.1 * sign[:, None]
    moved = point.assign(interference_first=point["interference_first"] + shift)
    assert (evidence.explained(moved) < evidence.explained(point)).all().to_array().all()


def test_a_sham_has_the_windows_of_the_task_and_is_taken_off():
    results = made.study()
    ((point, sham),) = control.pairs(results)
    found = evidence.beyond_sham(point, sham)
    expected = (1 - made.SHAM) * COUNTED * np.sum(made.FIRST, 1)
    values = found["first"].sel(block="all").isel(stream=1, initialisation=0)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert set(found) == {"first", "second", "measured"}
    # Alone it has no exposures, and so no gaps.
    assert np.isnan(evidence.over_gaps(sham)["first"]).all()
    short = sham.isel(step=slice(None, -2))
    assert np.isnan(evidence.beyond_sham(point, short)["measured"]).all()


def test_a_student_that_misses_a_state_has_no_sum(point):
    for name in ("reference", "interference_second"):
        lost = point.copy(deep=True)
        lost[name][{"stream": 0, "size": 1, "step": -2}] = np.nan
        found = evidence.over_gaps(lost).sel(block="all", initialisation=0)
        whole = np.isfinite(found["measured" if name == "reference" else "second"])
        assert whole.values.tolist() == [[True, False], [True, True]]


def test_streams_that_are_shown_the_task_at_other_steps_have_gaps_of_their_own(point):
    late = point.copy(deep=True)
    late["exposure_step"].loc[{"stream": 1}] = np.array([59, 79, 99, np.nan, np.nan])
    assert evidence.over_gaps(late)["steps"].values.tolist() == [COUNTED, 100 - 60 - 2]
