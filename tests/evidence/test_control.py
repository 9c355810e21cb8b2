"""Retention factors of planted signals: what is kept, whatever is gained."""

import numpy as np
import pytest
import xarray as xr
from made_control import in_mixture, results

from rare_retention.evidence import control
from rare_retention.flags import load
from rare_retention.theory import utility


def factors(*planted, **more):
    [(point, own)] = control.pairs(results(*planted, **more))
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


def test_cycles_that_do_not_count_are_left_out_for_all_sizes():
    """Only those in which the level is still low: the factor does not hang on them."""
    [(point, own)] = control.pairs(results((0.3, 0.6), (0.2, 0.4)))
    each = control.excess_cycles(point, own)
    broken = each.assign(next_before=each["next_before"].where(each["exposure"] < 3, 0.0))
    early = control.retention_factor(broken, each["exposure"] < 3).mean(("stream",))
    np.testing.assert_allclose(early.values.ravel(), (0.3, 0.6), atol=1e-6)
    rises = control.mean_rise(each, each["exposure"] < 1).mean("stream").values.ravel()
    np.testing.assert_allclose(rises, (0.2, 0.4), atol=1e-6)


def test_theorem_3_says_which_sizes_have_room():
    """Utilities 0.9 and 0.45 of the common task, 0.1 of the rare one: it comes third, and last."""
    study = in_mixture(results((0.5,) * 4, (0.5,) * 4), (1, 2, 3, 4))
    [(point, _)] = control.pairs(study)
    assert control.room(point).values.tolist() == [False, False, False, True]
    assert control.room(point.drop_vars("spectrum")).all()


@pytest.mark.parametrize(
    ("name", "needed", "room"),
    [
        ("configs/synthetic/retention.py:small", 5, {3: False, 6: True, 12: True}),
        (
            "configs/synthetic/forgetting.py",
            16,
            {8: False, 12: False, 18: True, 20: True, 24: True, 40: True},
        ),
        ("configs/quickstart.py", 14, {8: False, 18: True, 28: True}),
    ],
)
def test_sizes_of_the_committed_studies_have_the_room_that_their_pages_say(name, needed, room):
    setting = load(name).run.setting
    prior, spectra = setting.tasks.frequencies(), setting.tasks.spectra()
    assert utility.staircase(prior, spectra, 1)[-1] == needed
    point = xr.Dataset(
        {"frequency": ("task", prior), "spectrum": (("task", "direction"), spectra)},
        {
            "task": ["common", "rare"],
            "watch": ["rare"],
            "size": list(setting.widths),
            "width": ("size", list(setting.widths)),
        },
    )
    found = control.room(point)
    assert dict(zip(found["size"].values.tolist(), found.values.tolist(), strict=True)) == room


def test_points_without_the_task_are_controls():
    study = results((0.6, 0.6), (0.5, 0.5))
    assert [control.is_control(study.isel(left_out=arm)) for arm in (0, 1)] == [False, True]
    assert not control.is_control(study)
    assert not control.is_control(study.isel(left_out=1, drop=True))


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
    [(point, own)] = control.pairs(lost)
    found = control.retention_factor(control.excess_cycles(point, own))
    assert np.isnan(found.isel(stream=1, size=0)) and np.isfinite(found.isel(stream=0)).all()


def test_a_study_without_a_control_has_no_arms():
    assert list(control.pairs(results((0.6, 0.6), (0.5, 0.5)).isel(left_out=0))) == []
    shown = results((0.6, 0.6), (0.5, 0.5)).isel(left_out=[0, 0])
    assert list(control.pairs(shown.assign_coords(left_out=["()", "(1,)"]))) == []
