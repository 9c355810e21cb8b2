"""Retention factors of planted signals: what is kept, whatever is gained."""

import numpy as np
import pytest
from made_control import results

from rare_retention.evidence import control


def factors(*planted, **more):
    [(point, own)] = control.arms(results(*planted, **more))
    return (
        control.retention_factor(control.excess_cycles(point, own))
        .mean(("stream", "initialisation"))
        .to_numpy()
    )


@pytest.mark.parametrize(
    ("rhos", "gains"),
    [
        ((0.6, 0.6), (0.1, 0.9)),
        ((0.3, 0.6), (0.2, 0.2)),
        ((0.9, 0.9), (0.3, 0.5)),
        ((0.0, 1.0), (0.5, 0.5)),
    ],
)
def test_the_factor_is_what_was_planted_whatever_is_gained(rhos, gains):
    """Equal factors and unequal gains give equal factors; unequal ones at equal gains do not."""
    np.testing.assert_allclose(factors(rhos, gains), rhos, atol=1e-6)


def test_what_the_control_has_is_not_kept():
    """A level that is there without the task is taken off first."""
    np.testing.assert_allclose(factors((0.5, 0.5), (0.4, 0.4), (0.0, 0.3)), 0.5, atol=1e-6)


def test_noise_moves_it_little():
    found = factors((0.3, 0.6), (0.4, 0.4), noise=0.01)
    np.testing.assert_allclose(found, (0.3, 0.6), atol=0.08)


def test_a_level_that_never_rises_has_no_factor():
    found = factors((0.6, 0.6), (0.01, 0.5))
    assert np.isnan(found[0]) and found[1] == pytest.approx(0.6)


def test_a_missing_state_leaves_a_gap():
    whole = results((0.6, 0.6), (0.5, 0.5))
    lost = whole.copy(deep=True)
    lost["signal"][{"stream": 1, "size": 0, "step": slice(100, None)}] = np.nan
    [(point, own)] = control.arms(lost)
    found = control.retention_factor(control.excess_cycles(point, own))
    assert np.isnan(found.isel(stream=1, size=0)) and np.isfinite(found.isel(stream=0)).all()


def test_a_study_without_a_control_has_no_arms():
    assert list(control.arms(results((0.6, 0.6), (0.5, 0.5)).isel(left_out=0))) == []
    shown = results((0.6, 0.6), (0.5, 0.5)).isel(left_out=[0, 0])
    assert list(control.arms(shown.assign_coords(left_out=["()", "(1,)"]))) == []
