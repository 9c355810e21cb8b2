"""What an exposure gains and a size keeps, on planted gains."""

import made_control
import made_injection
import numpy as np
import pytest
from drawn import UNITS, lines, marks, titles

from rare_retention.evidence import exposures, retention
from rare_retention.report.figures import FIGURES

SMALL = "4M"


def cycles(point):
    return retention.cycles(
        retention.learned(point), exposures.of(point), least_gain=retention.LEAST_GAIN
    )


def test_loss_changes_since_just_before_an_exposure(study):
    results = study("loss_change")
    early = results["step"] < 750  # where an exposure gains less
    results["loss"] = results["loss"].where(~early, results["loss"] / 2)
    figure = FIGURES["loss_change"].draw(results)
    assert titles(figure) == [
        "gap G = 20",
        "gap G = 100",
        "gain per exposed row",
        "retention factor",
        "half-life (steps)",
    ]
    panel = figure.axes[1]
    (late,), (every,) = lines(panel, SMALL), lines(panel, f"{SMALL}, all")
    assert (late.get_linestyle(), every.get_linestyle()) == ("-", "--")
    x = late.get_xdata()
    assert (x[0], x[1], x[-1]) == (0, 1, 100)
    loss = results["loss"].sel(gap=100, size=SMALL, task="comparison").mean(UNITS)
    there = loss.dropna("step")["step"].values
    starts = [s for s in there if s % 100 == 99 and np.isin(s + x, there).all()]
    for line, chosen in ((every, starts), (late, [s for s in starts if s >= 750])):
        change = [loss.sel(step=s + x).values - float(loss.sel(step=s)) for s in chosen]
        np.testing.assert_allclose(line.get_ydata(), np.mean(change, 0), atol=1e-6)


def test_what_each_size_keeps_stands_beside_it(study):
    results = study("loss_change")
    figure = FIGURES["loss_change"].draw(results)
    gain, kept, life = figure.axes[2:5]
    found = cycles(results.sel(gap=100))
    shown = marks(gain, "1").get_ydata()
    np.testing.assert_allclose(8 * shown, found["gain"].mean(("cycle", *UNITS)), rtol=1e-5)
    assert [text.get_text() for text in kept.texts] == ["no control"]
    assert lines(life, "1")[0].get_ydata()[0] == pytest.approx(6, rel=0.1)
    assert [tick.get_text() for tick in gain.get_xticklabels()] == ["4M", "20M", "80M"]


def test_cycles_of_a_learned_task_do_not_count(study):
    results = study("loss_change").sel(gap=[100])
    known = results["loss"].where(results["step"] < 750, results["loss"] / 100)
    results = results.assign(loss=known)
    found = cycles(results.sel(gap=100))
    early = found["gain"].isel(
        cycle=(found["exposure"] < 7).all("stream").values
    )  # that of step 699, which learns it, too
    assert early.sizes["cycle"] < found.sizes["cycle"]
    shown = marks(FIGURES["loss_change"].draw(results).axes[1], "0").get_ydata()
    np.testing.assert_allclose(8 * shown, early.mean(("cycle", *UNITS)), rtol=1e-5)


def test_half_lives_beyond_the_gap_are_marked():
    results = made_injection.study(gain=(0.02, 0.02, 0.02), half_life=(5, 10, 5000))
    life = FIGURES["loss_change"].draw(results.sel(gap=[100])).axes[-1]
    marked = [x for x in life.get_lines() if x.get_marker() == "^"]
    assert [x.get_xdata().tolist() for x in marked] == [[2]]
    assert marked[0].get_ydata()[0] == pytest.approx(99 - made_injection.LAG, abs=4)


def test_loss_changes_of_a_synthetic_study(study):
    figure = FIGURES["loss_change"].draw(study("injection"))
    assert "of the signal" in figure.legends[0].get_title().get_text()
    assert lines(figure.axes[1], 16)[0].get_ydata().min() < 0


def test_a_study_with_a_control_shows_its_factors_and_no_panel_of_the_control():
    results = made_control.results((0.3, 0.6), (0.2, 0.2))
    widths = {"width": ("size", [3, 6]), "initialisation": [0], "size": [3, 6]}
    results = results.assign(loss=1 - results["signal"]).assign_coords(widths)
    figure = FIGURES["loss_change"].draw(results.assign_attrs(inputs=64))
    assert titles(figure)[1:] == ["gain per exposed row", "retention factor", "half-life (steps)"]
    kept = marks(figure.axes[2], "0").get_ydata()
    np.testing.assert_allclose(kept, [0.3, 0.6], atol=1e-6)


def test_loss_change_without_cycles_says_so(study):
    figure = FIGURES["loss_change"].draw(study("loss_change").sel(gap=[20], step=[0, 50, 1500]))
    assert [text.get_text() for text in figure.axes[0].texts] == ["no cycle measured"]
    assert not figure.axes[1].containers
