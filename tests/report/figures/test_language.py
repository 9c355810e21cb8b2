"""What the figures of language models share, in each of them."""

import made_language
import numpy as np
import pytest
from drawn import entries, line, titles
from made_language import SIZES
from matplotlib.figure import Figure

from rare_retention.report.figures import FIGURES, style
from rare_retention.report.figures.language import canvas, loss_axes, title

ALL = ("size_frequency", "learning_curves", "injection_gap", "task_text", "task_compute")


@pytest.mark.parametrize("name", ALL)
def test_sizes_are_called_by_their_names(name, study):
    figure = FIGURES[name].draw(study(name))
    shown = titles(figure) if name == "learning_curves" else entries(figure)
    for size in SIZES:
        assert any(text.endswith(size) for text in shown)
    assert not any("4000000" in text for text in shown)


@pytest.mark.parametrize("name", ALL)
def test_every_injected_task_has_panels_and_its_level_of_guessing(name, study):
    figure = FIGURES[name].draw(study(name))
    for task, loss in (("comparison", np.log(2)), ("addition", np.log(100))):
        mine = [p for p in figure.axes if p.get_title(loc="left").startswith(task)]
        assert mine
        levels = {line(p, "guessing").get_ydata()[0] for p in mine if p.get_yscale() == "log"}
        assert list(levels) == pytest.approx([loss])
    assert not any("text" in text for text in titles(figure))
    assert "guessing among the labels" in entries(figure)


@pytest.mark.parametrize("name", ALL)
def test_panels_of_a_task_have_one_scale_that_holds_what_is_not_learned(name, study):
    figure = FIGURES[name].draw(study(name))
    mine = [p for p in figure.axes if p.get_title(loc="left").startswith("addition")]
    (limits,) = {p.get_ylim() for p in mine if p.get_yscale() == "log"}
    assert np.log(100) / 1000 < limits[0] < np.log(100) < limits[1]
    drawn = [x.get_ydata() for p in mine if p.get_yscale() == "log" for x in p.get_lines()]
    assert max(np.max(y) for y in drawn if len(y)) <= limits[1]


@pytest.mark.parametrize("name", ["task_text", "task_compute"])
def test_a_study_of_one_frequency_has_one_panel_a_task(name):
    results = made_language.language((), streams=1, steps=[0, 100, 1000])
    figure = FIGURES[name].draw(results)
    assert titles(figure) == ["comparison", "addition"]


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (3, 1, 3), (4, 2, 2), (5, 2, 3)])
def test_a_group_of_panels_begins_a_row(count, rows, columns):
    with style.styled():
        figure, groups = canvas("title", 2, count, "x", "y")
    assert [len(group) for group in groups] == [count, count]
    assert len(figure.axes) == 2 * count
    for g, group in enumerate(groups):
        spot = group[0].get_subplotspec()
        grid = spot.get_gridspec()
        assert (grid.nrows, grid.ncols) == (2 * rows, columns)
        assert (spot.rowspan.start, spot.colspan.start) == (g * rows, 0)
        assert group[0].get_ylabel() == "y"
        assert group[-1].get_xlabel() == "x"


@pytest.mark.parametrize(("lowest", "shown"), [(1 / 50, 1 / 50), (1 / 5000, 1 / 500)])
def test_losses_far_below_guessing_are_cut_off(lowest, shown):
    """What is learned is learned; the scale is for what is not."""
    panels = Figure().subplots(1, 2)
    panels[0].plot([1, 2], [lowest, 2.0])
    panels[1].plot([1, 2], [0.5, 3.0])
    loss_axes(panels, 1.0)
    for panel in panels:
        assert panel.get_ylim() == pytest.approx((shown / 1.3, 3.0 * 1.3))
        assert line(panel, "guessing").get_ydata()[0] == 1


def test_long_titles_break_between_their_parts():
    assert title("comparison", "", "f = 0.1") == "comparison, f = 0.1"
    assert title("modular addition", "frequency f = 0.0156") == (
        "modular addition\nfrequency f = 0.0156"
    )
