"""What figures over the size share: panels, lines and colours."""

import pytest
from drawn import titles
from made_representation import representation

from rare_retention.report.figures import FIGURES

ALL = ("probe_r2", "fourier_modes", "alignment", "null_intervention")


@pytest.mark.parametrize("name", ALL)
def test_one_frequency_has_one_line_or_one_panel_a_task(name):
    figure = FIGURES[name].draw(representation(rates=(), streams=1))
    assert titles(figure) == (
        ["addition"] if name == "fourier_modes" else ["comparison", "addition"]
    )


@pytest.mark.parametrize("name", ["fourier_modes", "alignment"])
def test_places_that_share_a_frequency_have_colours_of_their_own(name):
    figure = FIGURES[name].draw(representation(gaps=(1, 10), streams=1))
    marks = [c.lines[0] for c in figure.axes[-1].containers]
    assert len({mark.get_color() for mark in marks}) == len(marks) == 6
