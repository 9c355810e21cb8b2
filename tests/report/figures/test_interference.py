"""First-order changes and the bound of Theorem 4."""

import numpy as np
import pytest
from drawn import lines

from rare_retention.report.figures import FIGURES


def test_interference_compares_changes_between_measured_states(study):
    results = study("interference")
    figure = FIGURES["interference"].draw(results)
    assert len(figure.axes) == 4
    shown = np.sort(np.concatenate([x.get_ydata() for x in lines(figure.axes[0], "16")]))
    expected = []
    for gap in (16, 64):
        loss = results["reference"].sel(gap=gap, size=16).isel(watch=0).dropna("step", how="all")
        expected.append(np.diff(loss.astype(float), axis=-1).ravel())
    np.testing.assert_allclose(shown, np.sort(np.concatenate(expected)), atol=1e-6)


def test_interference_adds_up_changes_since_the_start(study):
    results = study("interference")
    panel = FIGURES["interference"].draw(results).axes[3]
    predicted, measured = lines(panel, "48")
    assert (predicted.get_linestyle(), measured.get_linestyle()) == ("--", "-")
    loss = results["reference"].sel(gap=64, size=48).isel(watch=0).dropna("step", how="all")
    since = (loss - loss.isel(step=0)).mean(("stream", "initialisation"))
    np.testing.assert_allclose(measured.get_ydata(), since, atol=1e-5)
    assert measured.get_xdata().tolist() == since["step"].values.tolist()
    change = results["predicted_change"].sel(gap=64, size=48).isel(watch=0)
    total = change.sum("step").mean(("stream", "initialisation"))
    assert predicted.get_ydata()[-1] == pytest.approx(float(total), abs=1e-5)


def test_interference_shows_theorem_4_below_its_diagonal(study):
    results = study("interference")
    panel = FIGURES["interference"].draw(results).axes[1]
    (diagonal,) = lines(panel, "y = x")
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    for line in lines(panel, "16"):
        bound, gradient = line.get_xdata(), line.get_ydata()
        seen = np.isfinite(bound)
        assert seen.any()
        assert (gradient[seen] <= bound[seen]).all()
