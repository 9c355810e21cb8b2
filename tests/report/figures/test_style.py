"""Colours, legends, ticks and files."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.report.figures import style


def luminance(colour):
    return float(np.dot(colour[:3], [0.2126, 0.7152, 0.0722]))


def test_larger_students_are_lighter_and_none_is_lost_on_white():
    """From small to large as they are given, whatever they are called."""
    colours = style.size_colours(["4M", "20M", "300M", "1B"])
    assert list(colours) == ["4M", "20M", "300M", "1B"]
    tones = [luminance(colour) for colour in colours.values()]
    assert tones == sorted(tones)
    assert tones[-1] < 0.8


def test_frequencies_have_colours_of_their_own():
    colours = style.frequency_colours([1e-5, 1e-7, 1e-6, 1e-6])
    assert list(colours) == [1e-7, 1e-6, 1e-5]
    tones = [luminance(colour) for colour in colours.values()]
    assert tones == sorted(tones)
    assert not set(colours.values()) & set(style.size_colours([1, 2, 3]).values())


def test_one_size_has_a_colour():
    assert list(style.size_colours([32])) == [32]


@pytest.mark.parametrize(("count", "columns", "shape"), [(1, 3, (1, 1)), (5, 3, (2, 3))])
def test_canvas_has_the_panels_asked_for(count, columns, shape):
    figure, panels = style.canvas("title", count, columns)
    assert len(panels) == len(figure.axes) == count
    grid = panels[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == shape


def test_labels_stand_at_the_outer_panels_only():
    _, panels = style.canvas("title", 5, 3, sharex=True, sharey=True)
    style.label(panels, 3, "x", "y")
    assert [panel.get_ylabel() for panel in panels] == ["y", "", "", "y", ""]
    assert [panel.get_xlabel() for panel in panels] == ["", "", "x", "x", "x"]


def test_few_widths_stand_in_the_legend_and_many_on_a_colour_bar():
    for count, bars in ((8, 0), (9, 1)):
        figure, panels = style.canvas("title", 2)
        colours = style.size_colours(2 ** np.arange(count))
        style.key(figure, panels, colours, "note")
        (legend,) = figure.legends
        assert legend.get_title().get_text() == "note"
        assert len(figure.axes) - len(panels) == bars
        names = [text.get_text() for text in legend.get_texts()]
        if bars:
            ticks = [tick.get_text() for tick in figure.axes[-1].get_yticklabels()]
            assert ticks == [str(2**i) for i in range(count)]
        else:
            assert names == [f"N = {2**i}" for i in range(count)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.05, "0.05"), (2500, "2500"), (10_000, "10k"), (2e6, "2M"), (5e9, "5B"), (2e11, "200B")],
)
def test_ticks_are_short(value, text):
    _, (panel,) = style.canvas("title", 1)
    style.step_ticks(panel)
    assert panel.xaxis.get_major_formatter()(value) == text


@pytest.mark.parametrize("count", [1, 4, 9, 30])
def test_a_legend_stays_within_the_page(count):
    figure, _ = style.canvas("title", 1)
    style.legend(figure, [Line2D([], [], label=f"entry {i:09d}") for i in range(count)], "note")
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert len(figure.legends[0].get_texts()) == count


def test_ticks_stand_on_the_grid_and_do_not_collide():
    _, (panel,) = style.canvas("title", 1)
    panel.set_xscale("log")
    style.grid_ticks(panel, [2, 4, 64, 256, 1024, 1280])
    assert [text.get_text() for text in panel.get_xticklabels()] == ["4", "64", "256", "1280"]
    assert panel.get_xticks().tolist() == [4, 64, 256, 1280]


def test_task_ticks_start_at_one():
    _, (panel,) = style.canvas("title", 1)
    style.task_ticks(panel.xaxis, 32)
    assert panel.get_xticks().tolist() == [1, 4, 8, 12, 16, 20, 24, 28, 32]
    style.task_ticks(panel.xaxis, 3)
    assert panel.get_xticks().tolist() == [1, 2, 3]


def test_panels_side_by_side_get_one_scale_whatever_an_empty_one_has():
    _, panels = style.canvas("title", 3)
    panels[0].plot([0, 1], [0, 4])
    panels[1].plot([0, 1], [2, 10])
    panels[2].plot([0, 1], [np.nan, np.nan])
    style.same_y(panels)
    assert [panel.get_ylim() for panel in panels] == [(-0.5, 10.5)] * 3


def test_files_are_the_same_each_time_whatever_the_users_settings():
    def draw():
        with style.styled():
            figure, (panel,) = style.canvas("title", 1)
            panel.plot([1, 2], [3, 4], clip_path=None)
        return figure

    first = style.png(draw()), style.svg(draw())
    own = {"font.size": 30, "svg.hashsalt": "other", "xtick.direction": "in"}
    with matplotlib.rc_context(own):
        assert (style.png(draw()), style.svg(draw())) == first
    assert b"<dc:date>" not in first[1]
    assert b"Software" not in first[0]


def test_style_leaves_the_users_settings_alone():
    with matplotlib.rc_context({"font.size": 30}):
        style.png(Figure())
        assert matplotlib.rcParams["font.size"] == 30
