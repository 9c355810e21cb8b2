"""Interventions: aligned directions, and layers left out."""

import numpy as np
from drawn import UNITS, entries, line, points, titles
from made_language import SIZES

from rare_retention.report.figures import FIGURES

NAMES = list(SIZES)


def test_alignment_stands_between_a_random_subspace_and_the_whole_stream(study):
    results = study("alignment")
    figure = FIGURES["alignment"].draw(results)
    assert titles(figure) == ["comparison", "addition"]
    last = results.isel(snapshot=-1).sel(task="comparison", per_token=2.4e-5).mean(UNITS)
    label = "frequency f = 2.4e-05"
    np.testing.assert_allclose(points(figure.axes[0])[label][:, 1], last["alignment"])
    for kind, name in (("random subspace", "random"), ("all of the stream", "whole")):
        drawn = line(figure.axes[0], f"{kind}, {label}").get_ydata()
        np.testing.assert_allclose(drawn, last[f"alignment_{name}"])
        assert kind in entries(figure)


def test_null_interventions_are_drawn_by_layer(study):
    results = study("null_intervention")
    figure = FIGURES["null_intervention"].draw(results)
    panel = figure.axes[titles(figure).index("comparison, frequency f = 2.4e-07")]
    last = (
        results["null_effect"]
        .isel(snapshot=-1)
        .sel(task="comparison", per_token=2.4e-7)
        .mean(UNITS)
    )
    marks = points(panel)[NAMES[2]]
    np.testing.assert_allclose(marks, np.column_stack([[1, 2, 3, 4], last.sel(size=NAMES[2])]))
