"""Neurons between a common and a rare task."""

import numpy as np
from drawn import lines

from rare_retention.report.figures import FIGURES


def test_competition_has_a_panel_for_each_number_of_neurons(study):
    results = study("competition")
    figure = FIGURES["competition"].draw(results)
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == ["one neuron", "two neurons"]
    for i, panel in enumerate(figure.axes):
        for task, label in enumerate(("common task", "rare task")):
            (line,) = lines(panel, label)
            mean = results["alignment"].isel(size=i, task=task, initialisation=0).mean("stream")
            np.testing.assert_allclose(line.get_ydata(), mean, rtol=1e-5)
