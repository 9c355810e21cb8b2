"""Planted effects by block, real and of a task that is never shown, and their sums."""

import made_block_effects as made
import numpy as np
import pytest
from drawn import container, marks, titles

from rare_retention.report.figures import FIGURES

COUNTED = 76  # updates between exposures


@pytest.fixture
def draw():
    return FIGURES["interference_by_block"].draw


def test_each_order_has_a_mark_for_each_block_and_size(draw):
    figure = draw(made.study())
    assert titles(figure) == ["first order", "second order", "all weights"]
    for panel, planted in zip(figure.axes, (made.FIRST, made.SECOND), strict=False):
        for i, size in enumerate((8, 32)):
            own = np.array([*planted[i], sum(planted[i])]) * COUNTED
            x, y = marks(panel, str(size)).get_data()
            np.testing.assert_allclose(x, own, rtol=1e-5, atol=1e-9)
            assert np.round(y).tolist() == [0, 1, 2]
            null, _ = marks(panel, f"{size}, never shown").get_data()
            np.testing.assert_allclose(null, own * made.SHAM, rtol=1e-5, atol=1e-9)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["encoder", "decoders", "all weights"]  # no size has the third


def test_sums_stand_beside_the_measured_change(draw):
    panel = draw(made.study()).axes[2]
    first, second = np.sum(made.FIRST, 1), np.sum(made.SECOND, 1)
    for label, change in (
        ("first", first),
        ("first + second", first + second),
        ("measured", first + second + made.MISSED),
    ):
        np.testing.assert_allclose(marks(panel, label).get_ydata(), change * COUNTED, rtol=1e-5)


def test_bars_reach_from_the_least_student_to_the_greatest(draw):
    results = made.study()
    results["interference_first"][{"stream": 1}] *= 3
    drawn = container(draw(results).axes[0], "8").lines[2][0].get_segments()
    low, high = (sum(made.FIRST[0]) * COUNTED * factor for factor in (1, 3))
    np.testing.assert_allclose(np.array(drawn[2])[:, 0], [low, high], rtol=1e-5)


def test_without_an_arm_that_is_never_shown_the_task_it_stands_alone(draw):
    panel = draw(made.study(sham=False)).axes[0]
    assert [str(each.get_label()) for each in panel.containers] == ["8", "32"]
