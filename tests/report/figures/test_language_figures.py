"""Figures of language models: sizes by name, frequencies, gaps, text and compute."""

import made_language
import numpy as np
import pytest
from made_language import BATCH, RATES, ROW_TOKENS, SIZES

from rare_retention.report.figures import FIGURES, injection_gap, style
from rare_retention.report.figures.language import canvas

NAMES = list(SIZES)
UNITS = ("stream", "initialisation")
ALL = ("size_frequency", "learning_curves", "injection_gap", "task_text", "task_compute")


def titles(figure):
    return [panel.get_title(loc="left") for panel in figure.axes]


def line(panel, label):
    (found,) = [x for x in panel.get_lines() if x.get_label() == str(label)]
    return found


def entries(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("name", ALL)
def test_sizes_are_called_by_their_names(name, study):
    figure = FIGURES[name].draw(study(name))
    shown = titles(figure) if name == "learning_curves" else entries(figure)
    for size in SIZES:
        assert any(text.endswith(size) for text in shown)
    assert not any("4000000" in text for text in shown)


@pytest.mark.parametrize("name", ALL)
def test_every_injected_task_has_panels_and_its_level_of_guessing(name, study):
    figure = FIGURES[name].draw(study(name))
    for task, loss in (("comparison", np.log(2)), ("addition", np.log(100))):
        mine = [p for p in figure.axes if p.get_title(loc="left").startswith(task)]
        assert mine
        levels = {line(p, "guessing").get_ydata()[0] for p in mine if p.get_yscale() == "log"}
        assert list(levels) == pytest.approx([loss])
    assert not any("text" in text for text in titles(figure))
    assert "guessing among the labels" in entries(figure)


@pytest.mark.parametrize("name", ALL)
def test_panels_of_a_task_have_one_scale_that_holds_what_is_not_learned(name, study):
    figure = FIGURES[name].draw(study(name))
    mine = [p for p in figure.axes if p.get_title(loc="left").startswith("addition")]
    (limits,) = {p.get_ylim() for p in mine if p.get_yscale() == "log"}
    assert np.log(100) / 1000 < limits[0] < np.log(100) < limits[1]
    drawn = [x.get_ydata() for p in mine if p.get_yscale() == "log" for x in p.get_lines()]
    assert max(np.max(y) for y in drawn if len(y)) <= limits[1]


def test_size_frequency_shows_training_loss_and_test_accuracy_at_the_end(study):
    results = study("size_frequency")
    figure = FIGURES["size_frequency"].draw(results)
    assert titles(figure) == ["comparison", "comparison", "addition", "addition"]
    for panel, name, task in zip(
        figure.axes,
        ("loss", "test_accuracy") * 2,
        np.repeat(made_language.TASKS[1:], 2),
        strict=True,
    ):
        marks = panel.containers[1].lines[0]
        assert marks.get_xdata().tolist() == [2.4e-7, 2.4e-5]
        final = results[name].isel(step=-1, size=1).sel(task=task, per_token=[2.4e-7, 2.4e-5])
        np.testing.assert_allclose(marks.get_ydata(), final.mean(UNITS), rtol=1e-5)
    assert line(figure.axes[1], "guessing").get_ydata()[0] == 0.5
    assert line(figure.axes[3], "guessing").get_ydata()[0] == 0.01


def test_many_sizes_stand_on_a_colour_bar():
    sizes = {f"{n}M": n * 1_000_000 for n in range(1, 10)}
    results = made_language.language(RATES[:2], sizes=sizes, streams=1, steps=[0, 1000])
    figure = FIGURES["size_frequency"].draw(results)
    bar = figure.axes[-1]
    assert [tick.get_text() for tick in bar.get_yticklabels()] == list(sizes)
    assert bar.get_ylabel() == "size"


def test_learning_curves_have_a_curve_for_each_frequency_over_tokens(study):
    results = study("learning_curves")
    figure = FIGURES["learning_curves"].draw(results)
    assert titles(figure) == [
        f"{task}, {size}" for task in made_language.TASKS[1:] for size in SIZES
    ]
    curve = line(figure.axes[4], "2.4e-07")
    steps = results["step"].values[1:]  # step 0 has no logarithm
    np.testing.assert_allclose(curve.get_xdata(), steps * BATCH * ROW_TOKENS)
    loss = results["loss"].sel(task="addition", per_token=2.4e-7, size=NAMES[1]).mean(UNITS)[1:]
    np.testing.assert_allclose(curve.get_ydata(), loss, rtol=1e-5)
    assert {"f = 2.4e-07", "f = 2.4e-05"} < set(entries(figure))


def test_learning_curves_show_reference_prompts_dashed(study):
    results = study("learning_curves")
    figure = FIGURES["learning_curves"].draw(results)
    drawn = line(figure.axes[0], "sum")
    assert drawn.get_linestyle() == "--"
    expected = results["reference_loss"].sel(prompt="sum", size=NAMES[0])
    expected = expected.mean((*UNITS, "per_token"))[1:]
    np.testing.assert_allclose(drawn.get_ydata(), expected, rtol=1e-5)
    assert {"prompt: increase", "prompt: sum"} < set(entries(figure))
    assert "prompts: on natural text" in figure.legends[0].get_title().get_text()


def test_learning_curves_do_without_reference_prompts(study):
    results = study("learning_curves")
    unmeasured = results.assign(reference_loss=results["reference_loss"] * np.nan)
    for without in (results.drop_vars(["reference_loss", "prompt"]), unmeasured):
        figure = FIGURES["learning_curves"].draw(without)
        assert not [text for text in entries(figure) if "prompt" in text]
        assert "prompt" not in figure.legends[0].get_title().get_text()


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


def test_task_text_draws_the_task_against_the_text(study):
    results = study("task_text")
    figure = FIGURES["task_text"].draw(results)
    assert titles(figure)[0] == "comparison, frequency f = 2.4e-05"
    panel = figure.axes[3]
    assert titles(figure)[3] == "addition, frequency f = 2.4e-07"
    mean = results["loss"].sel(per_token=2.4e-7, size=NAMES[2]).mean(UNITS)
    path = line(panel, NAMES[2])
    np.testing.assert_allclose(path.get_xdata(), mean.sel(task="text"), rtol=1e-5)
    np.testing.assert_allclose(path.get_ydata(), mean.sel(task="addition"), rtol=1e-5)
    left, right = panel.get_xlim()
    assert left > right


def test_task_compute_draws_the_task_against_compute_and_its_frontier(study):
    results = study("task_compute")
    panel = FIGURES["task_compute"].draw(results).axes[1]  # comparison, rare
    mean = results["loss"].sel(per_token=2.4e-7, task="comparison").mean(UNITS)[:, 1:]
    tokens = mean["step"].values * BATCH * ROW_TOKENS
    for name, parameters in SIZES.items():
        path = line(panel, name)
        np.testing.assert_allclose(path.get_xdata(), 6.0 * parameters * tokens)
        np.testing.assert_allclose(path.get_ydata(), mean.sel(size=name), rtol=1e-5)
    best = line(panel, "frontier")
    for compute, loss in zip(best.get_xdata(), best.get_ydata(), strict=True):
        reached = [
            mean.sel(size=name).values[6.0 * n * tokens <= compute] for name, n in SIZES.items()
        ]
        assert loss == pytest.approx(np.concatenate(reached).min(), rel=1e-5)
    assert best.get_ydata()[-1] == pytest.approx(float(mean.min()), rel=1e-5)


def test_tokens_and_compute_are_those_of_each_batch_and_window():
    base = made_language.language(RATES[:2], streams=1, steps=[0, 100, 1000])
    results = made_language.varied(base, batch=(64, 128), window=(16, 32))
    for name, factor in (("learning_curves", 1), ("task_compute", 6 * SIZES["4M"])):
        figure = FIGURES[name].draw(results)
        for batch in (64, 128):
            for window in (16, 32):
                place = f"batch = {batch}, window = {window}"
                here = [p for p in figure.axes if place in p.get_title(loc="left")]
                wanted = "2.4e-05" if name == "learning_curves" else "4M"
                at = line(here[0], wanted).get_xdata()
                np.testing.assert_allclose(at, np.array([100, 1000]) * batch * window * factor)


def test_prompts_stand_at_the_tokens_of_their_runs():
    """Where frequencies differ in their batches, their means cannot share a curve."""
    base = made_language.language(RATES[:2], streams=1, steps=[0, 100, 1000])
    base["step_tokens"] = ("per_token", [1000.0, 2000.0])
    panel = FIGURES["learning_curves"].draw(base).axes[0]
    drawn = [x.get_xdata().tolist() for x in panel.get_lines() if x.get_label() == "sum"]
    assert drawn == [[1e5, 1e6], [2e5, 2e6]]


@pytest.mark.parametrize("name", ["task_text", "task_compute"])
def test_a_study_of_one_frequency_has_one_panel_a_task(name):
    results = made_language.language((), streams=1, steps=[0, 100, 1000])
    figure = FIGURES[name].draw(results)
    assert titles(figure) == ["comparison", "addition"]


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (3, 1, 3), (4, 2, 2), (5, 2, 3)])
def test_a_group_of_panels_begins_a_row(count, rows, columns):
    with style.styled():
        figure, groups = canvas("title", 2, count, "x", "y")
    assert [len(group) for group in groups] == [count, count]
    assert len(figure.axes) == 2 * count
    for g, group in enumerate(groups):
        spot = group[0].get_subplotspec()
        grid = spot.get_gridspec()
        assert (grid.nrows, grid.ncols) == (2 * rows, columns)
        assert (spot.rowspan.start, spot.colspan.start) == (g * rows, 0)
        assert group[0].get_ylabel() == "y"
        assert group[-1].get_xlabel() == "x"
