"""Figures of evidence from snapshots: values drawn, levels beside them, what is left out."""

import numpy as np
import pytest
from made_language import SIZES
from made_representation import SNAPSHOTS, representation

from rare_retention.report.figures import FIGURES, FROM_SNAPSHOTS
from rare_retention.representation.kinds import KINDS

UNITS = ("stream", "initialisation")
NAMES, PARAMETERS = list(SIZES), list(SIZES.values())
ALL = ("probe_r2", "fourier_modes", "alignment", "null_intervention")


def titles(figure):
    return [panel.get_title(loc="left") for panel in figure.axes]


def line(panel, label):
    (found,) = [x for x in panel.get_lines() if x.get_label() == str(label)]
    return found


def entries(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def bars(panel):
    """Marks of the error bars of a panel: x and y by label."""
    return {str(c.get_label()): c.lines[0].get_xydata() for c in panel.containers}


def test_variables_of_figures_are_measured_by_a_kind():
    measured = {name for kind in KINDS.values() for name in kind.measures}
    assert measured > FROM_SNAPSHOTS
    assert {n for f in ALL for n in FIGURES[f].needs if n in measured} == FROM_SNAPSHOTS


def test_probes_are_drawn_over_training_out_of_and_in_sample(study):
    results = study("probe_r2")
    figure = FIGURES["probe_r2"].draw(results)
    places = ["frequency f = 2.4e-05", "frequency f = 2.4e-07"]
    assert titles(figure) == [f"{k}, {f}" for k in ("comparison", "addition") for f in places]
    panel = figure.axes[2]
    for name, label in (("r2", NAMES[1]), ("r2_in_sample", f"in {NAMES[1]}")):
        mean = results[name].sel(per_token=2.4e-5, task="addition", size=NAMES[1]).mean(UNITS)
        drawn = line(panel, label)
        assert drawn.get_xdata().tolist() == list(SNAPSHOTS)
        np.testing.assert_allclose(drawn.get_ydata(), mean)
    assert {"in sample", "on symbols left out of the fit", *SIZES} <= set(entries(figure))


def test_modes_over_all_layers_stand_beside_those_of_chance(study):
    results = study("fourier_modes")
    figure = FIGURES["fourier_modes"].draw(results)
    assert titles(figure) == ["addition"]  # a comparison has no sum
    last = results.isel(snapshot=-1).sel(task="addition", per_token=2.4e-7).sum("layer").mean(UNITS)
    (panel,) = figure.axes
    label = "frequency f = 2.4e-07"
    np.testing.assert_allclose(bars(panel)[label], np.column_stack([PARAMETERS, last["modes"]]))
    chance = line(panel, f"symbols with random values, {label}")
    assert chance.get_linestyle() == "--"
    np.testing.assert_allclose(chance.get_ydata(), last["modes_by_chance"])
    assert [tick.get_text() for tick in panel.get_xticklabels()] == list(SIZES)
    assert "symbols with random values" in entries(figure)


def test_alignment_stands_between_a_random_subspace_and_the_whole_stream(study):
    results = study("alignment")
    figure = FIGURES["alignment"].draw(results)
    assert titles(figure) == ["comparison", "addition"]
    last = results.isel(snapshot=-1).sel(task="comparison", per_token=2.4e-5).mean(UNITS)
    label = "frequency f = 2.4e-05"
    np.testing.assert_allclose(bars(figure.axes[0])[label][:, 1], last["alignment"])
    for kind, name in (("random subspace", "random"), ("all of the stream", "whole")):
        drawn = line(figure.axes[0], f"{kind}, {label}").get_ydata()
        np.testing.assert_allclose(drawn, last[f"alignment_{name}"])
        assert kind in entries(figure)


def test_null_interventions_are_drawn_by_layer(study):
    results = study("null_intervention")
    figure = FIGURES["null_intervention"].draw(results)
    panel = figure.axes[titles(figure).index("comparison, frequency f = 2.4e-07")]
    last = (
        results["null_effect"]
        .isel(snapshot=-1)
        .sel(task="comparison", per_token=2.4e-7)
        .mean(UNITS)
    )
    marks = bars(panel)[NAMES[2]]
    np.testing.assert_allclose(marks, np.column_stack([[1, 2, 3, 4], last.sel(size=NAMES[2])]))


@pytest.mark.parametrize("name", ALL)
def test_one_frequency_has_one_line_or_one_panel_a_task(name):
    figure = FIGURES[name].draw(representation(rates=(), streams=1))
    assert titles(figure) == (
        ["addition"] if name == "fourier_modes" else ["comparison", "addition"]
    )


@pytest.mark.parametrize("name", ["fourier_modes", "alignment"])
def test_places_that_share_a_frequency_have_colours_of_their_own(name):
    figure = FIGURES[name].draw(representation(gaps=(1, 10), streams=1))
    marks = [c.lines[0] for c in figure.axes[-1].containers]
    assert len({mark.get_color() for mark in marks}) == len(marks) == 6
