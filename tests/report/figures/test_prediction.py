"""Final losses against those of Theorem 3."""

import numpy as np
from drawn import container, final_loss, kept_features

from rare_retention.report.figures import FIGURES


def test_prediction_puts_each_width_at_theorem_3(study):
    results = study("observed_vs_predicted")
    figure = FIGURES["observed_vs_predicted"].draw(results)
    point = results.isel(prior_exponent=1)
    prior, spectra = point["frequency"].to_numpy(), point["spectrum"].to_numpy()
    for i, width in enumerate((2, 4, 8, 16, 32, 48)):
        marks = container(figure.axes[1], f"{width}").lines[0]
        n = kept_features(prior, spectra, width)
        predicted = [spectra[k, n[k] :].sum() / spectra[k].sum() for k in range(8)]
        np.testing.assert_allclose(marks.get_xdata(), predicted, atol=1e-6)
        np.testing.assert_allclose(marks.get_ydata(), final_loss(point)[i], rtol=1e-5)


def test_prediction_bars_go_from_least_to_greatest(study):
    results = study("observed_vs_predicted")
    figure = FIGURES["observed_vs_predicted"].draw(results)
    point = results.isel(prior_exponent=0, step=-1).sel(size=16, task="regression 3")
    total = float(point["spectrum"].sum())
    (bars,) = container(figure.axes[0], "16").lines[2]
    ends = bars.get_segments()[2][:, 1]
    np.testing.assert_allclose(
        ends, [point["loss"].min() / total, point["loss"].max() / total], rtol=1e-5
    )
