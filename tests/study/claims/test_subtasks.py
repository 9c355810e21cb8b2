"""Claims on sparse parities, on planted learning times."""

import made_parity
import numpy as np
import pytest
import xarray as xr

from rare_retention.study.claims import judge

ORDER, ROWS, WIDE = (
    "parities_learned_by_frequency",
    "rarer_parity_needs_more_own_rows",
    "wider_learns_more_parities",
)


def one(results, name):
    (verdict,) = judge(results, [name])
    return verdict


def test_subtasks_in_the_order_of_frequency_hold():
    found = one(made_parity.parity(streams=4), ORDER)
    assert found.verdict == "holds"
    assert found.estimate > 0.98


def test_an_order_against_frequency_fails():
    """The most frequent subtasks need so many rows that they are learned last."""
    found = one(made_parity.parity(base=2e5, exponent=-1.5, reach=(1, 5, 12)), ORDER)
    assert (found.verdict, found.estimate < -0.9) == ("fails", True)


def test_students_that_learn_nothing_fail():
    results = made_parity.parity(reach=(0, 0, 0), streams=12)
    assert (one(results, ORDER).verdict, one(results, ORDER).estimate) == ("fails", 0)
    assert one(results, ROWS).verdict == "not tested"
    assert (one(results, WIDE).verdict, one(results, WIDE).estimate) == ("fails", 0)


@pytest.mark.parametrize(("exponent", "verdict"), [(0.5, "holds"), (-0.5, "fails")])
def test_own_rows_tell_what_exposure_does_not(exponent, verdict):
    """In either case subtasks are learned in the order of frequency."""
    results = made_parity.parity(exponent=exponent, base=8000 if exponent < 0 else 2000, streams=8)
    assert one(results, ROWS).verdict == verdict
    assert one(results, ORDER).verdict == "holds"


def test_equal_needs_favour_neither_side():
    late = {"base": 2e4, "total": 12_000}  # so that 50 steps between states matter little
    found = one(made_parity.parity(streams=6, initialisations=4, **late), ROWS)
    assert found.verdict == "inconclusive"
    assert abs(found.estimate) < 0.2


def test_the_wide_student_must_learn_more():
    found = one(made_parity.parity(streams=3), WIDE)
    assert (found.verdict, found.estimate) == ("holds", pytest.approx(10 / 12))
    assert one(made_parity.parity(reach=(5, 5, 6), streams=40), WIDE).verdict == "fails"


def test_missing_students_are_left_out():
    results = made_parity.parity()
    results["accuracy"][0, -1, 0] = np.nan
    for name in (ORDER, ROWS, WIDE):
        assert one(results, name).note.endswith("1 of 4 statistics are missing")


def test_what_cannot_be_tested_is_said():
    results = made_parity.parity()
    found = one(results.isel(size=[0]), WIDE)
    assert (found.verdict, found.note) == ("not tested", "the study has one size only")
    found = one(results.isel(task=slice(2)), ORDER)
    assert (found.verdict, found.note) == ("not tested", "a rank correlation needs 3 subtasks")
    found = one(results.drop_vars("step_rows"), ROWS)
    assert (found.verdict, found.note) == ("not tested", "the results hold no step_rows")


def test_points_of_a_grid_are_averaged():
    parts = [made_parity.parity(reach=(1, 5, wide)) for wide in (5, 11)]
    joined = xr.concat(parts, xr.DataArray([512, 1024], dims="batch", name="batch"))
    assert one(joined, WIDE).estimate == pytest.approx((4 + 10) / 2 / 12)
