"""Interference beyond a task that was never shown, on planted and on empty differences."""

import made_injection
import numpy as np
import pytest
import xarray as xr

from rare_retention.evidence import common_gradient, intervals, sham
from rare_retention.study.claims import CLAIMS
from rare_retention.study.claims.claim import Claim, counted
from rare_retention.study.claims.verdict import judge_claim, outcome

SIZES = np.array([8.0, 32, 128])
STUDIES, STREAMS, STATES = 400, 5, 20


def cosines(rng, extra=0.0):
    """Cosines [stream, size, step] that shrink as 1/sqrt(size) by themselves, streams apart."""
    scale = rng.lognormal(0, 0.3, (STREAMS, 1, 1)) / np.sqrt(SIZES)[:, None]
    values = scale * rng.standard_normal((STREAMS, len(SIZES), STATES))
    values = values + extra / SIZES[:, None]
    return xr.DataArray(values, {"step": np.arange(STATES)}, ("stream", "size", "step"))


def verdict(statistic):
    entry = Claim(
        "c", "Less in large.", "us", "A number.", ">", 0.0, lambda _: statistic, "none", "More."
    )
    return judge_claim(entry, xr.Dataset()).verdict


def by_ranks(statistic):
    claim = CLAIMS["cosine_shrinks_with_width"]
    return outcome(claim, intervals.bounded(statistic, *claim.bounds, statistic.attrs["cells"]))


def share_that_holds(statistic, extra=0.0, judge=verdict):
    found = []
    for seed in range(STUDIES):
        rng = np.random.default_rng(seed)
        found.append(judge(statistic(cosines(rng, extra), cosines(rng))) == "holds")
    return np.mean(found)


def ranks(real, null):
    """The statistic of `cosine_shrinks_with_width`, with the cells behind each unit's."""
    late = [common_gradient.late_cosine(each, share=1.0) for each in (real, null)]
    found = common_gradient.rank_correlation(late[0] - late[1])
    return counted(found, [len(SIZES) - 1])


def test_ranks_of_cosines_that_shrink_by_themselves_hold_in_one_study_of_twenty_at_most():
    """Of 400 studies without any difference; what the real task has beyond it is found."""
    assert share_that_holds(ranks, judge=by_ranks) <= 0.05
    assert share_that_holds(lambda r, _: ranks(r, 0 * r), judge=by_ranks) > 0.75
    assert share_that_holds(ranks, 12.0, by_ranks) > 0.5


@pytest.mark.parametrize("size", [abs, np.square])
def test_what_shrinks_by_itself_holds_in_one_study_of_twenty_at_most(size):
    """Of 400 studies without any difference; without the sham most would hold."""
    assert share_that_holds(lambda r, s: sham.less_in_large(size(r), size(s))) <= 0.05
    alone = share_that_holds(lambda r, _: sham.less_in_large(size(r), 0 * r))
    assert alone > 0.75


def test_what_the_real_task_has_beyond_it_is_found():
    assert share_that_holds(lambda r, s: sham.less_in_large(r**2, s**2), extra=6.0) > 0.9


def pair(real, null):
    steps = {"step": [0, 10, 20]}
    return [
        xr.DataArray(np.array(rows, float), steps, ("stream", "size", "step"))
        for rows in (real, null)
    ]


def test_the_difference_is_paired_by_student_and_state():
    real, null = pair([[[3, 4, 5], [1, 1, 1]]], [[[1, 2, 3], [1, 2, 3]]])
    assert sham.beyond(real, null).values.tolist() == [[2, -1]]
    assert sham.less_in_large(real, null).values.tolist() == [3]
    counted = xr.DataArray([True, False, False], {"step": [0, 10, 20]}, ("step",))
    assert sham.beyond(real, null, counted).values.tolist() == [[2, 0]]
    assert np.isnan(sham.beyond(real, null, ~counted & counted)).all()


def test_a_state_that_one_of_them_misses_leaves_no_difference():
    rows = np.ones((2, 2, 3))
    real, null = pair(rows, rows)
    null[0, 1, 1] = np.nan
    expected = [[True, False], [True, True]]
    assert np.isfinite(sham.beyond(real, null)).values.tolist() == expected
    short = sham.beyond(real, pair(rows, rows)[1].isel(step=slice(2)))
    assert np.isnan(short).all()
    real[1, :, 2] = np.nan  # not measured in this stream: no state is missing
    null[0, 1, 1] = 1
    assert np.isfinite(sham.beyond(real, null)).all()


def test_effects_are_the_products_of_updates_and_gradients():
    point = made_injection.study(gaps=(20,)).isel(gap=0)
    found = sham.effects(point)
    gram = point["gram"].sel(vector="update", other="reference comparison")
    seen = gram.notnull().any([d for d in gram.dims if d != "step"])
    np.testing.assert_allclose(found, gram.isel(step=seen.to_numpy()).transpose(*found.dims))
    assert "block" in found.dims and found.sizes["block"] == 3
