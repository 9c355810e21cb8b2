"""Losses by the gap between injections."""

import made_language
import numpy as np
import pytest
from drawn import titles
from made_language import RATES, SIZES

from rare_retention.report.figures import FIGURES, injection_gap

NAMES = list(SIZES)


def test_injection_gap_shows_both_halves_just_before_an_injection(study):
    results = study("injection_gap")
    figure = FIGURES["injection_gap"].draw(results)
    assert titles(figure)[:2] == ["comparison: training half", "comparison: test half"]
    marks = figure.axes[3].containers[0].lines[0]
    assert marks.get_xdata().tolist() == [1, 10, 100]
    for gap, shown in zip((1, 10, 100), marks.get_ydata(), strict=True):
        step = 10_000 if gap == 1 else 9999
        value = results["test_loss"].sel(gap=gap, step=step, task="addition", size=NAMES[0])
        assert shown == pytest.approx(float(value.mean()), rel=1e-5)


def test_injection_gap_takes_the_end_where_no_late_state_stands_before_an_injection(study):
    results = study("injection_gap")
    results = results.sel(step=results["step"] != 9999)
    results = results.assign_coords(step=[9 if s == 20 else s for s in results["step"].values])
    found = injection_gap.by_gap(results, "loss", "comparison")
    np.testing.assert_allclose(
        found, results["loss"].sel(task="comparison", step=10_000).transpose(*found.dims)
    )


def test_gaps_at_several_frequencies_have_rows_of_their_own():
    results = made_language.language(RATES[:2], (1, 10), streams=1, steps=[0, 99, 1000])
    figure = FIGURES["injection_gap"].draw(results)
    assert titles(figure)[::2] == [
        "comparison, frequency f = 2.4e-05: training half",
        "addition, frequency f = 2.4e-05: training half",
        "comparison, frequency f = 2.4e-06: training half",
        "addition, frequency f = 2.4e-06: training half",
    ]
