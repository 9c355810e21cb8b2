"""How gradients point to the task, on planted cosines."""

import made_exposures
import made_injection
import numpy as np
import pytest
from drawn import lines, marks, titles
from made_injection import SHOWN

from rare_retention.report.figures import FIGURES

LARGE = "80M"


def test_cosines_have_a_row_of_panels_for_each_block_and_gap(study):
    figure = FIGURES["gradient_cosines"].draw(study("gradient_cosines"))
    assert len(figure.axes) == 12
    assert titles(figure)[0] == "neurons: at exposures\ngap G = 20"
    assert titles(figure)[-1] == "all weights: over a cycle\ngap G = 100"
    shown = marks(figure.axes[6], "g: the batch").get_ydata()
    np.testing.assert_allclose(shown, SHOWN, atol=0.01)
    (line,) = lines(figure.axes[8], LARGE)
    assert line.get_xdata()[0] == 0 and line.get_xdata()[-1] == 99
    assert line.get_ydata()[0] == pytest.approx(SHOWN[2], abs=0.02)


def test_batches_that_all_hold_the_task_have_none_between():
    results = made_injection.study(gaps=(20,)).isel(gap=0)
    every = results.isel(step=results["step"] % 20 == 0).assign_coords(gap=1)
    every = every.drop_dims("exposure").pipe(made_exposures.with_bursts)
    figure = FIGURES["gradient_cosines"].draw(every)
    assert [text.get_text() for text in figure.axes[1].texts] == ["none measured"]
    assert [text.get_text() for text in figure.axes[2].texts] == ["no cycle measured"]
    assert figure.axes[0].has_data()
