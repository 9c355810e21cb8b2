"""Decompositions of planted factors and arms."""

import made_control
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.evidence import control, decomposition

UNIT = st.floats(0.01, 0.99)


def sized(values):
    return xr.DataArray(np.asarray(values, float), {"size": ["s", "l"]}, ("size",))


def factors(rhos, gains, **options):
    """Measured factors of a made study, mean over its streams."""
    [(point, own)] = control.pairs(made_control.results(rhos, gains, **options))
    of = control.excess_cycles(point, own).assign_coords(size=["s", "l"])
    found = control.retention_factor(of), decomposition.acquisition(of)
    return [each.mean(("stream", "initialisation"), skipna=False) for each in found]


@pytest.mark.parametrize(
    ("rhos", "gains", "to"),
    [((0.6, 0.6), (0.1, 0.9), "acquisition"), ((0.3, 0.6), (0.2, 0.2), "retention")],
)
def test_all_of_the_gap_goes_to_what_differs(rhos, gains, to):
    rho, a = factors(rhos, gains)
    assert rho.values == pytest.approx(rhos) and a.values == pytest.approx(gains)
    found = decomposition.split(rho, a, "s", "l")
    other = {"acquisition": "retention", "retention": "acquisition"}[to]
    assert found[to + "_share"].item() == pytest.approx(1)
    assert found[other + "_share"].item() == pytest.approx(0, abs=1e-6)
    assert found["gap"].item() > 0.1 and found["reason"].item() == ""


def test_noise_moves_the_shares_little():
    found = decomposition.split(*factors((0.3, 0.6), (0.4, 0.4), noise=0.01), "s", "l")
    assert found["retention_share"].item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("rho", "a"), [(0.6, 0.1), (0.9, 0.5), (0.3, 0.2)])
def test_the_steady_level_is_where_repeated_exposures_lead(rho, a):
    level = 0.0
    for _ in range(500):
        level = rho * (level + a * (1 - level))
    found = decomposition.steady_level(xr.DataArray(rho), xr.DataArray(a))
    assert found.item() == pytest.approx(level)


def test_nothing_gained_and_nothing_lost_leaves_any_level():
    assert np.isnan(decomposition.steady_level(xr.DataArray(1.0), xr.DataArray(0.0)))
    found = decomposition.split(sized([1, 0.5]), sized([0, 0.5]), "s", "l")
    assert found["reason"].item() == decomposition.ANY_LEVEL


@settings(deadline=None, max_examples=60)
@given(UNIT, UNIT, UNIT, UNIT)
def test_the_two_parts_are_the_gap_and_turn_with_the_sizes(rho, other_rho, a, other_a):
    values = sized([rho, other_rho]), sized([a, other_a])
    found = decomposition.split(*values, "s", "l")
    level = [decomposition.steady_level(xr.DataArray(r), xr.DataArray(g)).item()
             for r, g in ((rho, a), (other_rho, other_a))]  # fmt: skip
    assert found["gap"].item() == pytest.approx(level[1] - level[0], abs=1e-12)
    both = found["acquisition"] + found["retention"]
    assert both.item() == pytest.approx(found["gap"].item(), abs=1e-15)
    turned = decomposition.split(*values, "l", "s")
    for name in ("gap", "acquisition", "retention"):
        assert turned[name].item() == pytest.approx(-found[name].item(), abs=1e-12)


@pytest.mark.parametrize(
    ("rho", "a", "reason"),
    [
        ((0.5, 0.52), (0.3, 0.3), decomposition.NO_GAP),
        ((0.6, 0.3), (0.3, 0.3), decomposition.NO_GAP),  # the small size has more
        ((np.nan, 0.5), (0.0, 0.3), decomposition.NOTHING_LEARNED),
        ((0.5, 1.1), (0.3, 0.3), decomposition.OUTSIDE),
        ((0.5, 0.9), (-0.1, 0.3), decomposition.OUTSIDE),
    ],
)
def test_what_cannot_be_split_is_named(rho, a, reason):
    found = decomposition.split(sized(rho), sized(a), "s", "l")
    assert found["reason"].item() == reason
    assert np.isnan(found["acquisition_share"]) and np.isnan(found["retention_share"])


def test_a_size_that_learns_nothing_has_no_factor_and_says_so():
    found = decomposition.split(*factors((0.6, 0.6), (0.01, 0.5)), "s", "l")
    assert found["reason"].item() == decomposition.NOTHING_LEARNED
    assert np.isnan(found["gap"])


def test_a_missing_cycle_leaves_no_gain():
    whole = made_control.results((0.6, 0.6), (0.5, 0.5))
    whole["signal"][{"stream": 1, "size": 0, "step": slice(100, None)}] = np.nan
    [(point, own)] = control.pairs(whole)
    found = decomposition.acquisition(control.excess_cycles(point, own))
    assert np.isnan(found.isel(stream=1, size=0)).all()
    np.testing.assert_allclose(found.isel(stream=[0, 2]), 0.5)


@pytest.mark.parametrize(
    ("outcomes", "values"),
    [
        ((0.1, 0.9, 0.1, 0.9), (0.8, 0)),  # all the first
        ((0.1, 0.1, 0.9, 0.9), (0, 0.8)),  # all the second
        ((0.1, 0.1, 0.1, 0.1), (0, 0)),
        ((0.0, 0.4, 0.2, 0.6), (0.4, 0.2)),  # they add up
        ((0.0, 0.0, 0.0, 0.8), (0.4, 0.4)),  # only together
        ((0.0, 0.8, 0.8, 0.8), (0.4, 0.4)),  # either is enough
    ],
)
def test_two_changes_share_what_both_change(outcomes, values):
    found = decomposition.shapley(*(xr.DataArray(float(each)) for each in outcomes))
    assert [each.item() for each in found] == pytest.approx(values)
