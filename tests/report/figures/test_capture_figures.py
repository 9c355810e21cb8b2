"""Figures of what is captured: phase diagram, prediction, residual, complexity, rank one."""

import numpy as np
import pytest

from rare_retention.report.figures import FIGURES, rank_one
from rare_retention.theory import interference, utility


def lines(panel, label):
    return [line for line in panel.get_lines() if line.get_label() == label]


def container(panel, label):
    (found,) = [c for c in panel.containers if c.get_label() == label]
    return found


def kept_features(prior, spectra, width):
    """Features n_k that the `width` largest utilities leave each task, ties to the frequent one."""
    order = sorted(
        ((round(-p * value, 12), k) for k, p in enumerate(prior) for value in spectra[k]),
    )[:width]
    return np.array([sum(task == k for _, task in order) for k in range(len(prior))])


def final_loss(point):
    """Mean final loss over that of the mean predictor [width, task]."""
    last = point["loss"].isel(step=-1).mean(("stream", "initialisation"))
    return (last / point["spectrum"].sum("direction")).transpose("size", "task").to_numpy()


def test_phase_diagram_shows_final_losses_by_task_and_width(study):
    results = study("phase_diagram")
    figure = FIGURES["phase_diagram"].draw(results)
    panels = figure.axes[:2]
    assert [panel.get_title(loc="left") for panel in panels] == ["β = 1", "β = 2"]
    for i, panel in enumerate(panels):
        (mesh,) = panel.collections
        shown = mesh.get_array().reshape(8, 6)
        np.testing.assert_allclose(shown, final_loss(results.isel(prior_exponent=i)).T, rtol=1e-5)


def test_phase_diagram_draws_the_staircases(study):
    results = study("phase_diagram")
    panel = FIGURES["phase_diagram"].draw(results).axes[1]
    prior, spectra = (
        results.isel(prior_exponent=1)[n].to_numpy() for n in ("frequency", "spectrum")
    )
    for level, patch in zip((1, 2, 3), panel.patches, strict=True):
        stairs = patch.get_data()
        assert stairs.edges.tolist() == [k + 0.5 for k in range(9)]
        for task, width in enumerate(stairs.values.astype(int)):
            assert kept_features(prior, spectra, width)[task] >= level
            assert kept_features(prior, spectra, width - 1)[task] < level


def test_a_width_without_students_is_grey_and_noted(study, lose):
    figure = FIGURES["phase_diagram"].draw(lose(study("phase_diagram"), size=8))
    shown = figure.axes[0].collections[0].get_array().reshape(8, 6)
    assert np.isnan(np.ma.filled(shown[:, 2], np.nan)).all()
    assert np.isfinite(np.ma.filled(np.delete(shown, 2, axis=1), np.nan)).all()
    assert "8 of 48 students missing" in figure.legends[0].get_title().get_text()


def test_prediction_puts_each_width_at_theorem_3(study):
    results = study("observed_vs_predicted")
    figure = FIGURES["observed_vs_predicted"].draw(results)
    point = results.isel(prior_exponent=1)
    prior, spectra = point["frequency"].to_numpy(), point["spectrum"].to_numpy()
    for i, width in enumerate((2, 4, 8, 16, 32, 48)):
        marks = container(figure.axes[1], f"{width}").lines[0]
        n = kept_features(prior, spectra, width)
        predicted = [spectra[k, n[k] :].sum() / spectra[k].sum() for k in range(8)]
        np.testing.assert_allclose(marks.get_xdata(), predicted, atol=1e-6)
        np.testing.assert_allclose(marks.get_ydata(), final_loss(point)[i], rtol=1e-5)


def test_prediction_bars_go_from_least_to_greatest(study):
    results = study("observed_vs_predicted")
    figure = FIGURES["observed_vs_predicted"].draw(results)
    point = results.isel(prior_exponent=0, step=-1).sel(size=16, task="regression 3")
    total = float(point["spectrum"].sum())
    (bars,) = container(figure.axes[0], "16").lines[2]
    ends = bars.get_segments()[2][:, 1]
    np.testing.assert_allclose(
        ends, [point["loss"].min() / total, point["loss"].max() / total], rtol=1e-5
    )


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


def test_complexity_marks_observed_on_predicted_shares(study):
    results = study("complexity")
    figure = FIGURES["complexity"].draw(results)
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles[0].startswith("α = (1.2, 4.0): 1 to 6 directions")
    point = results.isel(spectrum_exponents=0, step=-1)
    prior, spectra = point["frequency"].to_numpy(), point["spectrum"].to_numpy()
    n = kept_features(prior, spectra, 8)
    (line,) = lines(figure.axes[0], "8")
    expected = [spectra[k, : n[k]].sum() / spectra[k].sum() for k in range(8)]
    np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-6)
    marks = container(figure.axes[0], "8 observed").lines[0]
    assert marks.get_xdata().tolist() == list(range(1, 9))
    mean = point["signal"].sel(size=8).mean(("stream", "initialisation"))
    np.testing.assert_allclose(marks.get_ydata(), mean, rtol=1e-5)


def test_complexity_says_when_widths_are_left_out(study):
    figure = FIGURES["complexity"].draw(study("complexity"))
    assert "5 of 6 widths shown" in figure.legends[0].get_title().get_text()


def test_rank_one_predicts_the_first_width_of_the_grid(study):
    results = study("rank_one")
    (panel,) = FIGURES["rank_one"].draw(results).axes
    (predicted,) = lines(panel, "predicted")
    widths = results["size"].to_numpy()
    assert predicted.get_ydata().tolist() == [
        min(w for w in widths if w >= k) for k in range(1, 13)
    ]
    (needed,) = lines(panel, "needed")
    assert needed.get_ydata().tolist() == list(range(1, 13))


def test_rank_one_takes_the_median_of_the_runs(study):
    results = study("rank_one")
    results["signal"][:] = 0.0
    for stream, draw, first in ((0, 0, 4), (0, 1, 6), (1, 0, 6), (1, 1, 9)):
        wide = results["size"] >= first
        place = {"stream": stream, "initialisation": draw, "size": wide, "task": "regression 4"}
        results["signal"].loc[place] = 0.8
    (panel,) = FIGURES["rank_one"].draw(results).axes
    marks, _, (bars,) = container(panel, "observed").lines
    assert marks.get_ydata()[3] == 6
    assert bars.get_segments()[3][:, 1].tolist() == [4, 9]
    assert np.isnan(np.delete(marks.get_ydata(), 3)).all()  # never learned


def test_rank_one_bars_leave_the_panel_where_a_run_never_learns(study):
    empirical = study("rank_one")["signal"].isel(step=-1, size=0, drop=True) * 0 + 4
    empirical[1, 1, 0] = 0
    middle, low, high = rank_one.observed(empirical)
    assert (middle[0], low[0], high[0]) == (4, 4, np.inf)
    empirical[0, 0, 0] = np.nan
    assert rank_one.observed(empirical)[0][0] == 4
