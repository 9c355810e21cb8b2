"""Fourier modes, beside those of chance."""

import numpy as np
from drawn import UNITS, entries, line, points, titles
from made_language import SIZES

from rare_retention.report.figures import FIGURES

PARAMETERS = list(SIZES.values())


def test_modes_over_all_layers_stand_beside_those_of_chance(study):
    results = study("fourier_modes")
    figure = FIGURES["fourier_modes"].draw(results)
    assert titles(figure) == ["addition"]  # a comparison has no sum
    last = results.isel(snapshot=-1).sel(task="addition", per_token=2.4e-7).sum("layer").mean(UNITS)
    (panel,) = figure.axes
    label = "frequency f = 2.4e-07"
    np.testing.assert_allclose(points(panel)[label], np.column_stack([PARAMETERS, last["modes"]]))
    chance = line(panel, f"symbols with random values, {label}")
    assert chance.get_linestyle() == "--"
    np.testing.assert_allclose(chance.get_ydata(), last["modes_by_chance"])
    assert [tick.get_text() for tick in panel.get_xticklabels()] == list(SIZES)
    assert "symbols with random values" in entries(figure)
