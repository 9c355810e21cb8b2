"""Signals and cosines against the gap, by width."""

import numpy as np
import pytest
from drawn import rare

from rare_retention.report.figures import FIGURES


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


def test_gap_width_shows_the_most_frequent_task_beside_it(study):
    results = study("gap_width").isel(size=[1])
    figure = FIGURES["gap_width"].draw(results)
    shown = figure.axes[1].containers[0].lines[0].get_ydata()
    first = results.isel(task=[0])
    for gap, value in zip((16, 64), shown, strict=True):
        values = rare(first.sel(gap=gap), 16).dropna("step")
        before = [s for s in values["step"].values if s % gap == gap - 1]
        assert value == pytest.approx(float(values.sel(step=before[-1])), abs=1e-5)


def test_gap_width_averages_the_size_of_the_cosine_over_the_last_quarter(study):
    results = study("gap_width")
    marks = FIGURES["gap_width"].draw(results).axes[2].containers[1].lines[0]
    late = abs(results["cosine"].sel(gap=64, size=16, step=slice(480, None)))
    assert marks.get_ydata()[1] == pytest.approx(float(late.mean()), rel=1e-5)


def test_gap_width_draws_the_gaps_that_are_left(study, lose):
    figure = FIGURES["gap_width"].draw(lose(study("gap_width"), gap=16))
    assert figure.axes[0].containers[0].lines[0].get_xdata().tolist() == [64]
    assert "12 of 24 students missing" in figure.legends[0].get_title().get_text()
