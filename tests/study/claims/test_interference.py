"""Claims on gradients, on made-up states that obey or break them."""

import numpy as np
import pytest
import xarray as xr

from rare_retention.study.claims import judge

ALL = ("cosine_shrinks_with_width", "common_gradient_bound", "first_order_change")


def one(results, name):
    (verdict,) = judge(results, [name])
    return verdict


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
    reverse = results["cosine"].copy(data=results["cosine"].to_numpy()[:, :, ::-1])
    verdict = one(results.assign(cosine=-reverse), ALL[0])
    assert verdict.verdict == "fails"
    assert verdict.estimate == pytest.approx(1)


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
    other = results[["cosine", "reference", "predicted_change"]]
    other = other.assign_coords(watch=["regression 3"]).map(np.negative)
    both = results.drop_dims("watch").assign(
        {name: xr.concat([other[name], results[name]], "watch") for name in other}
    )
    assert both["watch"].values.tolist() == ["regression 3", "regression 8"]
    for name in ALL:
        assert one(both, name).estimate == one(results, name).estimate
