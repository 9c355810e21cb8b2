"""The phase diagram: final losses, and the staircases that utility predicts."""

import numpy as np
from drawn import final_loss, kept_features

from rare_retention.report.figures import FIGURES


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


def test_a_staircase_that_no_width_reaches_is_left_out(study):
    """Tasks of one direction never have two features."""
    figure = FIGURES["phase_diagram"].draw(study("rank_one"))
    (panel, *_) = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["$N^*_k(1)$"]
    one, two, three = (patch.get_data().values for patch in panel.patches)
    assert one.tolist() == list(range(1, 13))
    assert np.isnan(two).all() and np.isnan(three).all()
