"""Task loss against text loss."""

import numpy as np
from drawn import UNITS, line, titles
from made_language import SIZES

from rare_retention.report.figures import FIGURES

NAMES = list(SIZES)


def test_task_text_draws_the_task_against_the_text(study):
    results = study("task_text")
    figure = FIGURES["task_text"].draw(results)
    assert titles(figure)[0] == "comparison, frequency f = 2.4e-05"
    panel = figure.axes[3]
    assert titles(figure)[3] == "addition, frequency f = 2.4e-07"
    mean = results["loss"].sel(per_token=2.4e-7, size=NAMES[2]).mean(UNITS)
    path = line(panel, NAMES[2])
    np.testing.assert_allclose(path.get_xdata(), mean.sel(task="text"), rtol=1e-5)
    np.testing.assert_allclose(path.get_ydata(), mean.sel(task="addition"), rtol=1e-5)
    left, right = panel.get_xlim()
    assert left > right
