"""Peaks of equal gain, on planted curves and on results with planted gains."""

import made_injection
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.errors import ConfigError, UserError
from rare_retention.study import matching

PEAKS = (1e-3, 3e-3, 1e-2)


def curves(*rows, peaks=PEAKS):
    """Gains [peak, size] of sizes 4, 8, ..."""
    widths = [4 * 2**i for i in range(len(rows))]
    return xr.DataArray(
        np.array(rows, np.float64).T, {"peak": list(peaks), "size": widths}, ("peak", "size")
    )


def power(scale, exponent, peaks=PEAKS):
    return [scale * p**exponent for p in peaks]


def test_peaks_of_power_laws_are_exact():
    gains = curves(power(10, 1), power(40, 1), power(2, 0.5))
    found = matching.match(gains, 0.07)
    np.testing.assert_allclose(found.peaks, [0.007, 0.00175, 0.035**2])
    np.testing.assert_allclose(found.relative, [1, 0.25, 0.035**2 / 0.007])


def test_the_smallest_size_at_the_middle_peak_is_the_default():
    gains = curves(power(10, 1), power(20, 1))
    found = matching.match(gains)
    assert found.gain == pytest.approx(0.03)
    np.testing.assert_allclose(found.relative, [1, 0.5])


def test_or_the_nearest_gain_that_all_have():
    low = curves([0.1, 0.2, 0.4], [0.05, 0.06, 0.08])
    with pytest.raises(UserError, match="no gain that all sizes have"):
        matching.match(low)
    found = matching.match(curves([0.1, 0.2, 0.4], [0.05, 0.1, 0.15]))
    assert found.gain == pytest.approx(0.15)
    assert found.relative == pytest.approx((1, 1e-2 / (1e-3 * 3 ** np.log2(1.5))))


@given(
    st.lists(st.floats(0.01, 1), min_size=3, max_size=5, unique=True),
    st.floats(0.1, 3),
    st.floats(0, 1),
)
def test_the_gain_read_back_at_each_peak_is_the_target(values, scale, part):
    rows = np.sort(values)
    peaks = np.geomspace(1e-3, 1e-1, len(rows))
    gains = curves(rows, rows * scale, peaks=peaks)
    low, high = max(rows[0], rows[0] * scale), min(rows[-1], rows[-1] * scale)
    if low > high:
        return
    target = float(np.clip(low ** (1 - part) * high**part, low, high))
    found = matching.match(gains, target)
    for row, peak in zip((rows, rows * scale), found.peaks.values, strict=True):
        read = np.exp(np.interp(np.log(peak), np.log(peaks), np.log(row)))
        assert read == pytest.approx(target, rel=1e-6)


def test_gains_that_fall_again_or_are_missing_are_passed_over():
    nan = np.nan
    peaks = (1, 2, 4, 8, 16)
    gains = curves([-0.1, 1, 2, 1.5, nan], [1, 0.5, nan, 4, 3], peaks=peaks)
    found = matching.match(gains, 2.0)
    np.testing.assert_allclose(found.peaks, [4, 8**0.5])


def test_a_gain_beyond_a_size_is_refused_with_what_all_have():
    gains = curves(power(10, 1), power(20, 1))
    with pytest.raises(ConfigError) as caught:
        matching.match(gains, 0.5)
    assert str(caught.value) == "gain: expected a gain that all sizes have, 0.02 to 0.1, got 0.5"


def test_a_size_without_gains_is_named():
    with pytest.raises(UserError, match="the size 8 gains nothing at any peak"):
        matching.match(curves([1, 2, 3], [-1, 0, np.nan]))


def planted(peak, size):
    return 3 * peak * (1 + size) / (1 + size / 2)


def test_gains_of_a_study_are_what_was_planted():
    gains = matching.gains(made_injection.calibration((0.02, 0.005, 0.01), planted))
    assert gains["peak"].values.tolist() == [0.005, 0.01, 0.02]
    assert gains.dims == ("peak", "size")
    expected = [[planted(peak, size) for size in range(3)] for peak in (0.005, 0.01, 0.02)]
    # A burst has 8 rows; gains are of what is left, and scatter by +-10% from student to student.
    np.testing.assert_allclose(8 * gains, expected, rtol=0.12)


def test_gains_are_counted_by_the_row_and_not_by_the_burst():
    """Sizes of one gain for each row; where half of the rows are shown a row gives twice."""
    results = made_injection.calibration((0.005, 0.01), planted)
    gains = matching.gains(results)
    halved = results.assign(exposure_count=results["exposure_count"] / 2)
    np.testing.assert_allclose(matching.gains(halved), 2 * gains)
    one = results.assign(exposure_count=results["exposure_count"].where(results["stream"] > 0, 4.0))
    assert (matching.gains(one) > gains * 1.3).all()


def test_all_sizes_are_judged_by_the_same_cycles():
    """The largest has learned by step 400; that the others gain nothing after that is not seen."""
    results = made_injection.calibration((0.01,), planted)
    guess, step, loss = made_injection.GUESSING, results["step"], results["loss"]
    task, wide = results["task"] == "comparison", results["size"] == results["size"][-1]
    learned, idle = task & wide & (step >= 400), task & ~wide & (step > 440)
    quick = loss.where(~learned | loss.isnull(), 0.1 * guess)
    quick = results.assign(loss=quick.where(~idle | loss.isnull(), guess))
    early = results.assign(loss=loss.where(step <= 399))
    small = {"size": [0, 1]}
    np.testing.assert_allclose(matching.gains(quick)[small], matching.gains(early)[small], rtol=0.1)


def test_a_size_that_diverged_has_no_gain_at_that_peak():
    results = made_injection.calibration((0.005, 0.01), planted)
    results["loss"][{"peak": 1, "size": 2, "stream": 0}] = np.nan
    gains = matching.gains(results)
    assert np.isnan(gains.sel(peak=0.01)).values.tolist() == [False, False, True]


def test_nor_has_one_that_diverged_on_the_way():
    results = made_injection.calibration((0.005, 0.01), planted)
    late = results["step"][results["step"] > 700]
    results["loss"].loc[{"peak": 0.01, "size": results["size"][0], "step": late}] = np.nan
    gains = matching.gains(results)
    assert np.isnan(gains.sel(peak=0.01)).values.tolist() == [True, False, False]


def test_another_study_is_refused():
    with pytest.raises(UserError, match=r"varies optimizer\.peak alone, this one gap"):
        matching.gains(made_injection.study())
    results = made_injection.calibration((0.005, 0.01), planted)
    with pytest.raises(UserError, match=r"at peak 0\.005 no whole cycle"):
        matching.gains(results.sel(step=[0, 50, 1500]))
    results["finished"][:] = False
    with pytest.raises(UserError, match="no run of the calibration study has finished"):
        matching.gains(results)
