"""What bursts leave, by size, beside what gives it back."""

import made_arms
import numpy as np

from rare_retention.report.figures import arms, style

LEVELS = {
    "even": (0.0, 0.95, 0.97),
    "gap 10": (0.0, 0.90, 0.95),
    "gap 50": (0.0, 0.2, 0.9),
    "gap 50, protected": (0.1, 0.9, 0.9),
    "gap 50, more rows": (0.0, 0.9, 0.9),
}


def made(levels, **others):
    results = made_arms.results(levels, **others)
    return results.assign(loss=1 - results["signal"])


def drawn(**others):
    return arms.arms(made(LEVELS, widths=(2, 4, 16), **others))


def test_a_row_for_each_schedule_of_bursts():
    figure = drawn()
    assert [panel.get_title(loc="left") for panel in figure.axes] == [
        "gap 10",
        "share of the lack given back",
        "gap 50",
        "share of the lack given back",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "even",
        "bursts",
        "bursts, protected",
        "bursts, more rows",
        "no room (Theorem 3)",
    ]


def test_every_student_is_a_point():
    """A mean of students of which some hold all and some nothing would hide both."""
    panel = drawn(streams=4).axes[2]
    points = [line for line in panel.lines if line.get_marker() == "."]
    assert len(points) == 4 * 4  # four arms, four streams
    assert all(len(line.get_ydata()) == 3 for line in points)
    means = {
        line.get_color(): np.asarray(line.get_ydata())
        for line in panel.lines
        if line.get_linestyle() == "-" and len(line.get_ydata()) == 3
    }
    np.testing.assert_allclose(means[style.BLUE], LEVELS["gap 50"], atol=0.02)
    np.testing.assert_allclose(means[style.GREY], LEVELS["even"], atol=0.02)


def test_shares_stand_with_their_intervals():
    panel = drawn(noise=0.001).axes[3]
    last = {
        (line.get_color(), round(line.get_xdata()[0])): line.get_ydata()[0]
        for line in panel.lines
        if line.get_marker() == "o" and line.get_alpha() == 1.0
    }
    assert np.isclose(last[style.GREEN, 1], 1.0, atol=0.02)
    assert np.isclose(last[style.GREEN, 0], 0.1 / 0.9, atol=0.02)
    assert np.isclose(last[style.ORANGE, 1], 1.0, atol=0.02)
    assert not {size for _, size in last} & {2}  # the largest lacks nothing
    assert len(panel.patches) == 1  # the size without room


def test_a_study_in_progress_is_drawn():
    figure = arms.arms(made({"even": (0.5, 0.9)}, widths=(2, 16)))
    assert len(figure.axes) == 2 and not figure.axes[0].lines


def test_an_interval_that_leaves_the_panel_has_an_arrow():
    for noise, wanted in ((0.001, set()), (0.3, {"v", "^"})):
        panel = drawn(noise=noise).axes[3]
        arrows = {line.get_marker() for line in panel.lines if line.get_markersize() == 4}
        assert arrows == wanted
