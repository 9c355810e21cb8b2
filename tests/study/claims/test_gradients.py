"""Claims on the gradients of batches, on planted cosines."""

import made_injection
import numpy as np
import pytest
import xarray as xr
from made_injection import REST, SHOWN

from rare_retention.study.claims import judge

POINTS, RESTS = "injection_gradient_points_to_the_task", "rest_interferes_less_in_large"
BOTH = (POINTS, RESTS)


@pytest.fixture(scope="module")
def study():
    """Two gaps, three sizes, each with the task and without it."""
    return made_injection.with_sham(made_injection.study())


def one(results, name):
    (verdict,) = judge(results, [name])
    return verdict


@pytest.mark.parametrize("name", BOTH)
def test_planted_gradients_hold(study, name):
    verdict = one(study, name)
    assert verdict.verdict == "holds", verdict
    assert verdict.covers == "streams"


def test_estimates_are_what_was_planted(study):
    assert one(study, POINTS).estimate == pytest.approx(np.mean(SHOWN), abs=0.005)
    assert one(study, RESTS).estimate == pytest.approx(REST[0] ** 2 - REST[2] ** 2, abs=0.001)


def test_what_shrinks_alike_without_the_task_does_not_hold():
    """The same cosines with a task that is never shown: there is nothing beyond it."""
    found = one(made_injection.with_sham(made_injection.study(streams=6), REST), RESTS)
    assert found.verdict == "inconclusive" and abs(found.estimate) < 3e-4
    more = tuple(2 * cosine for cosine in REST)
    assert one(made_injection.with_sham(made_injection.study(), more), RESTS).verdict == "fails"


def test_without_an_arm_that_is_never_shown_the_task_it_is_not_tested():
    found = one(made_injection.study(), RESTS)
    assert found.verdict == "not tested" and "never shown" in found.note


def test_reversed_gradients_fail(study):
    away = study["gram"].copy()
    away.loc[{"vector": "reference comparison"}] *= -1
    away.loc[{"other": "reference comparison"}] *= -1
    assert one(study.assign(gram=away), POINTS).verdict == "fails"
    assert one(study.assign(gram=away), RESTS).verdict == "holds"  # sizes, whatever the sign
    swapped = study["gram"].copy(data=study["gram"].isel(size=[2, 1, 0]).to_numpy())
    assert one(study.assign(gram=swapped), RESTS).verdict == "fails"


def test_sizes_may_be_called_anything(study):
    for name in BOTH:
        turned = one(study.assign_coords(size=["z", "m", "a"]), name)
        assert turned.estimate == pytest.approx(one(study, name).estimate)


def test_a_missing_run_takes_its_stream_with_it():
    results = made_injection.with_sham(made_injection.study(streams=3))
    results["finished"][1, 0] = False
    for name in BOTH:
        verdict = one(results, name)
        assert verdict.verdict == "holds"
        assert (verdict.streams, verdict.units) == (2, 2)


@pytest.mark.parametrize(
    ("change", "name", "note"),
    [
        (lambda s: s.drop_vars("gram"), POINTS, "the results hold no gram"),
        (lambda s: s.assign(gram=s["gram"] * np.nan), POINTS, "no gradients were compared"),
        (lambda s: s.isel(size=[0]), RESTS, "the study has one size only"),
        (
            lambda s: s.isel(gap=[0], step=s["step"] % 20 == 0),
            RESTS,
            "every measured batch held the task: there are none between exposures",
        ),
        (
            lambda s: s.isel(gap=[0], step=s["step"] % 20 != 0),
            POINTS,
            "no batch that held the task was measured",
        ),
    ],
)
def test_what_cannot_be_tested_says_why(study, change, name, note):
    verdict = one(change(study), name)
    assert verdict.verdict == "not tested"
    assert verdict.note == note


def test_first_order_changes_of_language_models_are_judged_too(study):
    """Updates that change the reference loss by 0.9 of what they do."""
    loss = study["loss"].sel(task=["comparison"]).rename(task="watch")
    change = loss.copy()
    for gap in study["gap"]:
        at = loss.sel(gap=gap).notnull().all([d for d in loss.dims if d not in ("step", "gap")])
        here = {"gap": gap, "step": study["step"][at.to_numpy()]}
        steps = loss.loc[here]
        told = 0.9 + 1e-4 * xr.DataArray(np.arange(loss.sizes["stream"]), dims="stream")
        change.loc[here] = (
            (told * steps.diff("step")).reindex(step=steps["step"]).transpose(*steps.dims)
        )
    results = study.assign(reference=loss, predicted_change=change)
    verdict = one(results, "first_order_change")
    assert verdict.estimate == pytest.approx(0.1, abs=1e-3)
    assert isinstance(results, xr.Dataset) and verdict.verdict == "holds"
