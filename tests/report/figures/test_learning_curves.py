"""Losses over training by frequency, and natural prompts."""

import made_language
import numpy as np
from drawn import UNITS, entries, line, titles
from made_language import BATCH, RATES, ROW_TOKENS, SIZES

from rare_retention.report.figures import FIGURES

NAMES = list(SIZES)


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


def test_prompts_stand_at_the_tokens_of_their_runs():
    """Where frequencies differ in their batches, their means cannot share a curve."""
    base = made_language.language(RATES[:2], streams=1, steps=[0, 100, 1000])
    base["step_tokens"] = ("per_token", [1000.0, 2000.0])
    panel = FIGURES["learning_curves"].draw(base).axes[0]
    drawn = [x.get_xdata().tolist() for x in panel.get_lines() if x.get_label() == "sum"]
    assert drawn == [[1e5, 1e6], [2e5, 2e6]]
