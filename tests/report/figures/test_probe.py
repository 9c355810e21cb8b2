"""Probes over training, in and out of sample."""

import numpy as np
from drawn import UNITS, entries, line, titles
from made_language import SIZES
from made_representation import SNAPSHOTS

from rare_retention.report.figures import FIGURES

NAMES = list(SIZES)


def test_probes_are_drawn_over_training_out_of_and_in_sample(study):
    results = study("probe_r2")
    figure = FIGURES["probe_r2"].draw(results)
    places = ["frequency f = 2.4e-05", "frequency f = 2.4e-07"]
    assert titles(figure) == [f"{k}, {f}" for k in ("comparison", "addition") for f in places]
    panel = figure.axes[2]
    for name, label in (("r2", NAMES[1]), ("r2_in_sample", f"in {NAMES[1]}")):
        mean = results[name].sel(per_token=2.4e-5, task="addition", size=NAMES[1]).mean(UNITS)
        drawn = line(panel, label)
        assert drawn.get_xdata().tolist() == list(SNAPSHOTS)
        np.testing.assert_allclose(drawn.get_ydata(), mean)
    assert {"in sample", "on symbols left out of the fit", *SIZES} <= set(entries(figure))
