"""Figures over training: injections, gaps, neurons, long horizons, interference."""

import made_exposures
import numpy as np
import pytest

from rare_retention.report.figures import FIGURES
from rare_retention.theory import utility


def lines(panel, label):
    return [line for line in panel.get_lines() if line.get_label() == label]


def rare(point, width):
    """Mean normalised signal of the rarest task of one width, at every step."""
    signal = point["signal"].sel(size=width).isel(task=-1).mean(("stream", "initialisation"))
    return (signal - width / 128) / (1 - width / 128)


def test_injection_has_a_whole_run_and_a_cycle_for_each_gap(study):
    figure = FIGURES["injection"].draw(study("injection"))
    whole, zoom = figure.axes[:2], figure.axes[2:]
    assert [panel.get_title(loc="left") for panel in whole] == ["gap G = 16", "gap G = 64"]
    assert len(zoom) == 2
    assert all("log scale" in panel.get_xlabel() for panel in zoom)


def test_injection_draws_the_rare_signal_and_marks_each_injection(study):
    results = study("injection")
    panel = FIGURES["injection"].draw(results).axes[1]
    point = results.sel(gap=64).dropna("step", how="all", subset=["signal"])
    (line,) = lines(panel, "16")
    assert line.get_xdata().tolist() == point["step"].values.tolist()
    np.testing.assert_allclose(line.get_ydata(), rare(point, 16), atol=1e-5)
    (ticks,) = lines(panel, "injection")
    assert ticks.get_xdata().tolist() == list(range(64, 641, 64))


def test_injection_zooms_on_one_cycle_from_just_before_it(study):
    results = study("injection")
    panel = FIGURES["injection"].draw(results).axes[3]
    (line,) = lines(panel, "4")
    start = int(panel.get_xlabel().split()[2])
    assert (start + 1) % 64 == 0
    offsets = line.get_xdata()
    assert (offsets[0], offsets[1], offsets[-1]) == (0, 1, 64)
    value = rare(results.sel(gap=64), 4)
    expected = value.sel(step=start + offsets) - value.sel(step=start)
    np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-5)
    assert line.get_ydata().max() > 0.01  # gain
    assert line.get_ydata()[-1] < line.get_ydata().max() / 2  # decay


def test_too_many_injections_are_counted_instead_of_marked(made):
    results = made.retention(gaps=(4,), total=400)
    panel = FIGURES["injection"].draw(results).axes[0]
    assert panel.get_title(loc="left") == "gap G = 4 (100 injections)"
    assert not lines(panel, "injection")


def test_a_run_without_gaps_has_no_cycle(made):
    results = made.retention(gaps=(16,)).isel(gap=0).assign_coords(gap=1)
    results = results.drop_dims("exposure").pipe(made_exposures.with_bursts)
    panel = FIGURES["injection"].draw(results).axes[1]
    assert [text.get_text() for text in panel.texts] == ["no cycle measured"]


def test_more_than_three_gaps_take_another_row(made):
    results = made.retention(made.Shape(widths=(4,)), gaps=(8, 16, 32, 64), total=256)
    figure = FIGURES["injection"].draw(results)
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert len(titles) == 8
    assert titles[:2] + titles[4:6] == [f"gap G = {gap}" for gap in (8, 16, 32, 64)]


def test_gap_width_takes_signals_just_before_the_last_injection(study):
    results = study("gap_width")
    figure = FIGURES["gap_width"].draw(results)
    assert len(figure.axes) == 3
    for i, width in enumerate((4, 16, 48)):
        marks = figure.axes[0].containers[i].lines[0]
        assert marks.get_xdata().tolist() == [16, 64]
        expected = []
        for gap in (16, 64):
            values = rare(results.sel(gap=gap), width).dropna("step")
            before = [s for s in values["step"].values if s % gap == gap - 1]
            expected.append(float(values.sel(step=before[-1])))
        np.testing.assert_allclose(marks.get_ydata(), expected, atol=1e-5)


def test_gap_width_averages_the_size_of_the_cosine_over_the_last_quarter(study):
    results = study("gap_width")
    marks = FIGURES["gap_width"].draw(results).axes[2].containers[1].lines[0]
    late = abs(results["cosine"].sel(gap=64, size=16, step=slice(480, None)))
    assert marks.get_ydata()[1] == pytest.approx(float(late.mean()), rel=1e-5)


def test_gap_width_draws_the_gaps_that_are_left(study, lose):
    figure = FIGURES["gap_width"].draw(lose(study("gap_width"), gap=16))
    assert figure.axes[0].containers[0].lines[0].get_xdata().tolist() == [64]
    assert "12 of 24 students missing" in figure.legends[0].get_title().get_text()


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


def test_long_horizon_highlights_tasks_above_capacity(study):
    results = study("long_horizon")
    figure = FIGURES["long_horizon"].draw(results)
    assert len(figure.axes) == 3
    point = results.isel(prior_exponent=0)
    prior, spectra = point["frequency"].to_numpy(), point["spectrum"].to_numpy()
    for i, panel in enumerate(figure.axes):
        above = utility.retained(prior, spectra, int(results["size"][i])) == 0
        assert f"({above.sum()} of 8 above)" in panel.get_title(loc="left")
        colours = [lines(panel, f"task {k + 1}")[0].get_color() for k in range(8)]
        assert [colour == "#D55E00" for colour in colours] == above.tolist()
        (line,) = lines(panel, "task 8")
        assert line.get_xdata().tolist() == [50, 100, 200, 400]  # step 0 has no logarithm
        loss = point["loss"].isel(size=i, task=7).mean(("stream", "initialisation"))[1:]
        np.testing.assert_allclose(line.get_ydata(), loss / spectra[7].sum(), rtol=1e-5)


def test_interference_compares_changes_between_measured_states(study):
    results = study("interference")
    figure = FIGURES["interference"].draw(results)
    assert len(figure.axes) == 4
    shown = np.sort(np.concatenate([x.get_ydata() for x in lines(figure.axes[0], "16")]))
    expected = []
    for gap in (16, 64):
        loss = results["reference"].sel(gap=gap, size=16).isel(watch=0).dropna("step", how="all")
        expected.append(np.diff(loss.astype(float), axis=-1).ravel())
    np.testing.assert_allclose(shown, np.sort(np.concatenate(expected)), atol=1e-6)


def test_interference_adds_up_changes_since_the_start(study):
    results = study("interference")
    panel = FIGURES["interference"].draw(results).axes[3]
    predicted, measured = lines(panel, "48")
    assert (predicted.get_linestyle(), measured.get_linestyle()) == ("--", "-")
    loss = results["reference"].sel(gap=64, size=48).isel(watch=0).dropna("step", how="all")
    since = (loss - loss.isel(step=0)).mean(("stream", "initialisation"))
    np.testing.assert_allclose(measured.get_ydata(), since, atol=1e-5)
    assert measured.get_xdata().tolist() == since["step"].values.tolist()
    change = results["predicted_change"].sel(gap=64, size=48).isel(watch=0)
    total = change.sum("step").mean(("stream", "initialisation"))
    assert predicted.get_ydata()[-1] == pytest.approx(float(total), abs=1e-5)


def test_interference_shows_theorem_4_below_its_diagonal(study):
    results = study("interference")
    panel = FIGURES["interference"].draw(results).axes[1]
    (diagonal,) = lines(panel, "y = x")
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    for line in lines(panel, "16"):
        bound, gradient = line.get_xdata(), line.get_ydata()
        seen = np.isfinite(bound)
        assert seen.any()
        assert (gradient[seen] <= bound[seen]).all()
