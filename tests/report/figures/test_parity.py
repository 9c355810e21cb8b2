"""Accuracy, steps and own rows of sparse parities, over their frequency."""

import made_parity
import numpy as np
from drawn import entries, points, titles

from rare_retention.evidence import states, subtasks
from rare_retention.report.figures import FIGURES

UNITS = ("stream", "initialisation")


def test_panels_hold_what_claims_are_judged_by(study):
    results = study("parity")
    figure = FIGURES["parity"].draw(results)
    accuracy, step, rows = map(points, figure.axes)
    assert list(accuracy) == list(step) == list(rows) == ["8", "32", "128"]
    final = states.final(results["accuracy"]).mean(UNITS)
    times = subtasks.first_learned(results).mean(UNITS)
    for i, (size, learned) in enumerate(zip(accuracy, (1, 5, 11), strict=True)):
        x, y = accuracy[size].T
        np.testing.assert_allclose(x, results["frequency"])
        np.testing.assert_allclose(y, final[i], rtol=1e-6)
        x, y = step[size].T
        np.testing.assert_allclose(x, results["frequency"][:learned])
        np.testing.assert_allclose(y, times[i, :learned])
        own = times[i, :learned] * made_parity.BATCH * results["frequency"][:learned]
        np.testing.assert_allclose(rows[size][:, 1], own)
    assert entries(figure) == ["N = 8", "N = 32", "N = 128"]


def test_a_subtask_that_one_student_never_learned_has_no_step(study):
    results = study("parity")
    results["accuracy"][0, 2, 1, :, 3] = 0.5
    _, step, _ = map(points, FIGURES["parity"].draw(results).axes)
    assert float(results["frequency"][3]) not in step["128"][:, 0]
    assert len(step["128"]) == 10


def test_a_missing_student_does_not_count(study, lose):
    results = lose(study("parity"), stream=0, size=128, initialisation=1)
    _, step, _ = map(points, FIGURES["parity"].draw(results).axes)
    assert len(step["128"]) == 11


def test_every_grid_point_has_a_row(study):
    twice = study("parity").expand_dims(batch=[128, 256]).transpose("stream", ...)
    figure = FIGURES["parity"].draw(twice)
    assert titles(figure) == ["batch = 128", "", "", "batch = 256", "", ""]
