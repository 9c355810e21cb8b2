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
    """Two gaps, three sizes."""
    return made_injection.study()


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


def test_reversed_gradients_fail(study):
    away = study["gram"].copy()
    away.loc[{"vector": "reference comparison"}] *= -1
    away.loc[{"other": "reference comparison"}] *= -1
    assert one(study.assign(gram=away), POINTS).verdict == "fails"
    assert one(study.assign(gram=away), RESTS).verdict == "holds"  # sizes, whatever the sign
    swapped = study["gram"].copy(data=study["gram"].isel(size=[2, 1, 0]).to_numpy())
    assert one(study.assign(gram=swapped), RESTS).verdict == "fails"


def test_directions_that_have_nothing_to_do_with_each_other_fail(study):
    """On 48, 96 and 192 weights: the cosines shrink, what they are beyond chance does not."""
    rng = np.random.default_rng(0)
    gram = study["gram"].transpose("size", "vector", "other", ...).copy()
    weights = study["block_weights"].transpose("size", ...).copy()
    there = gram.isel(size=0, vector=0, other=0).notnull().to_numpy()
    for i, size in enumerate((48, 96, 192)):
        vectors = rng.standard_normal((4, *there.shape, size))
        drawn = np.einsum("v...n,w...n->vw...", vectors, vectors)
        shown = gram[i, 0, 0].to_numpy() > 0  # of the task's terms in the batch
        drawn[0] *= shown
        drawn[:, 0] *= shown
        gram[i] = np.where(there, drawn, np.nan)
        weights[i] = np.where(np.isnan(weights[i]), np.nan, size)
    results = study.assign(
        gram=gram.transpose(*study["gram"].dims),
        block_weights=weights.transpose(*study["block_weights"].dims),
    )
    found = one(results, RESTS)
    assert found.verdict == "inconclusive", found
    assert abs(found.estimate) < 0.005 < 1 / 48


def test_sizes_may_be_called_anything(study):
    for name in BOTH:
        turned = one(study.assign_coords(size=["z", "m", "a"]), name)
        assert turned.estimate == pytest.approx(one(study, name).estimate)


def test_a_missing_run_takes_its_stream_with_it():
    results = made_injection.study(streams=3)
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
        change.loc[here] = (0.9 * steps.diff("step")).reindex(step=steps["step"])
    results = study.assign(reference=loss, predicted_change=change)
    verdict = one(results, "first_order_change")
    assert verdict.estimate == pytest.approx(0.1, abs=1e-3)
    assert isinstance(results, xr.Dataset) and verdict.verdict == "holds"
