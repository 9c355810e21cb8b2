"""What is learned where tasks differ in complexity."""

import numpy as np
from drawn import container, kept_features, lines

from rare_retention.report.figures import FIGURES


def test_complexity_marks_observed_on_predicted_shares(study):
    results = study("complexity")
    figure = FIGURES["complexity"].draw(results)
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles[0].startswith("α = (1.2, 4.0): 1 to 6 directions")
    point = results.isel(spectrum_exponents=0, step=-1)
    prior, spectra = point["frequency"].to_numpy(), point["spectrum"].to_numpy()
    n = kept_features(prior, spectra, 8)
    (line,) = lines(figure.axes[0], "8")
    expected = [spectra[k, : n[k]].sum() / spectra[k].sum() for k in range(8)]
    np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-6)
    marks = container(figure.axes[0], "8 observed").lines[0]
    assert marks.get_xdata().tolist() == list(range(1, 9))
    mean = point["signal"].sel(size=8).mean(("stream", "initialisation"))
    np.testing.assert_allclose(marks.get_ydata(), mean, rtol=1e-5)


def test_complexity_says_when_widths_are_left_out(study):
    figure = FIGURES["complexity"].draw(study("complexity"))
    assert "5 of 6 widths shown" in figure.legends[0].get_title().get_text()
