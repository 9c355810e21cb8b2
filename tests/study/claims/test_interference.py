"""Claims on gradients, on made-up states that obey or break them."""

import made_block_effects
import made_control
import numpy as np
import pytest
import xarray as xr

from rare_retention.study.claims import judge

ALL = ("cosine_shrinks_with_width", "common_gradient_bound", "first_order_change")


def one(results, name):
    (verdict,) = judge(results, [name])
    return verdict


@pytest.fixture
def mixed(mixed):
    """The same with an arm in which the rare task is never shown; 6 streams."""
    return lambda **options: made_control.with_sham(mixed(**{"streams": 6} | options))


@pytest.mark.parametrize("name", ALL)
def test_planted_gradients_hold(mixed, name):
    verdict = one(mixed(), name)
    assert verdict.verdict == "holds", verdict
    assert verdict.covers == "streams"


def test_estimates_are_what_was_planted(mixed):
    found = {name: one(mixed(), name).estimate for name in ALL}
    assert found["cosine_shrinks_with_width"] == pytest.approx(-1)
    assert found["common_gradient_bound"] == 1
    assert found["first_order_change"] == pytest.approx(0.1, abs=1e-4)


def test_cosines_that_grow_with_width_fail(mixed):
    results = mixed()
    turned = results["cosine"].isel(size=slice(None, None, -1)).to_numpy()
    verdict = one(results.assign(cosine=-results["cosine"].copy(data=turned)), ALL[0])
    assert verdict.verdict == "fails"
    assert verdict.estimate == pytest.approx(1)


def test_cosines_that_shrink_alike_without_the_task_say_nothing(mixed):
    """Both 1/width but for noise: by itself it falls in every stream, beyond the sham in half."""
    results = mixed(streams=24)
    rng = np.random.default_rng(0)
    size = 1 / results["size"].to_numpy()[:, None, None, None]
    noisy = size * rng.uniform(0.5, 1.5, results["cosine"].shape)
    found = one(results.assign(cosine=(results["cosine"].dims, noisy)), ALL[0])
    assert found.verdict == "inconclusive" and abs(found.estimate) < 0.5


def test_without_an_arm_that_is_never_shown_the_task_it_is_not_tested(mixed):
    found = one(mixed().isel(left_out=0), ALL[0])
    assert found.verdict == "not tested" and "never shown" in found.note
    assert "exposure.left_out" in found.note


def test_cosines_of_early_states_do_not_count(mixed):
    results = mixed()
    cosine = results["cosine"].copy()
    cosine[{"step": slice(0, 3)}] = 0.5 + results["size"].astype("float32") / 100
    assert one(results.assign(cosine=cosine), ALL[0]).estimate == pytest.approx(-1)


def test_one_state_beyond_the_bound_fails(mixed):
    results = mixed()
    gradient = results["basis_gradient"].copy()
    gradient[{"size": 1, "step": 2, "prior_exponent": 0}] *= 2
    verdict = one(results.assign(basis_gradient=gradient), ALL[1])
    assert verdict.verdict == "fails"
    assert verdict.estimate == pytest.approx(1 - 1 / (2 * 6 * 5))


def test_changes_that_are_not_predicted_fail(mixed):
    results = mixed()
    verdict = one(results.assign(predicted_change=0.5 * results["predicted_change"]), ALL[2])
    assert verdict.verdict == "fails"
    assert verdict.estimate == pytest.approx(0.55, abs=1e-4)


def test_the_rarest_watched_task_is_judged(mixed):
    """A second, more frequent watched task whose gradients say the opposite changes nothing."""
    results = mixed()
    other = results[["cosine", "reference", "predicted_change", "exposure_step"]]
    other = other.assign_coords(watch=["regression 3"]).map(np.negative)
    both = results.drop_dims("watch").assign(
        {name: xr.concat([other[name], results[name]], "watch") for name in other}
    )
    assert both["watch"].values.tolist() == ["regression 3", "regression 8"]
    for name in ALL:
        assert one(both, name).estimate == one(results, name).estimate


TWO = "two_orders_explain_changes"


def test_two_orders_that_are_the_measured_change_pass():
    """As planted: the share is what no order says of each size's change, the mean over sizes."""
    results = made_block_effects.study()
    verdict = one(results, TWO)
    told = np.sum(made_block_effects.FIRST, 1) + np.sum(made_block_effects.SECOND, 1)
    assert verdict.verdict == "holds"
    expected = (told / (told + made_block_effects.MISSED)).mean()
    assert verdict.estimate == pytest.approx(expected, rel=1e-4)
    # What the control's updates do is no part of it.
    alone = one(results.isel(left_out=[0]), TWO)
    assert alone.estimate == verdict.estimate


@pytest.mark.parametrize("name", ["interference_first", "interference_second"])
def test_without_one_of_the_two_orders_it_fails(name):
    results = made_block_effects.study()
    assert one(results.assign({name: -results[name]}), TWO).verdict == "fails"


def test_without_the_instrument_two_orders_are_not_tested(mixed):
    found = one(mixed(), TWO)
    assert found.verdict == "not tested" and "interference_first" in found.note
