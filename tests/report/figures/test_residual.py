"""The rare task's signal against what is left of the common ones."""

import numpy as np
import pytest
from drawn import lines

from rare_retention.report.figures import FIGURES
from rare_retention.theory import interference, utility


def test_residual_axis_marks_each_width_and_the_critical_residual(study):
    results = study("residual_axis")
    figure = FIGURES["residual_axis"].draw(results)
    point = results.isel(prior_exponent=1)
    prior, spectra = point["frequency"].to_numpy(), point["spectrum"].to_numpy()
    panel = figure.axes[1]
    (line,) = [x for x in panel.get_lines() if x.get_linestyle() == "--"]
    expected = interference.critical_residual(prior, spectra, utility.common_set(prior), 7)
    assert line.get_xdata() == pytest.approx([expected, expected])
    (rare,) = lines(panel, "rare")
    last = point.isel(step=-1).mean(("stream", "initialisation"))
    chance = np.array([2, 4, 8, 16, 32, 48]) / 128
    np.testing.assert_allclose(rare.get_xdata(), last["residual"], rtol=1e-5)
    signal = last["signal"].isel(task=7)
    np.testing.assert_allclose(rare.get_ydata(), (signal - chance) / (1 - chance), atol=1e-5)
    assert len(lines(panel, "frequent")) == 3


def test_residual_axis_has_no_line_where_the_rarest_task_is_common(made):
    results = made.sweep(made.Shape(tasks=2, widths=(2, 4)), betas=(0.5,))
    (panel,) = FIGURES["residual_axis"].draw(results).axes
    assert not [x for x in panel.get_lines() if x.get_linestyle() == "--"]
    assert len(lines(panel, "frequent")) == 1  # the other task is the rarest
