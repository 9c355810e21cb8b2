"""Task loss against compute, and its frontier."""

import made_language
import numpy as np
import pytest
from drawn import UNITS, line
from made_language import BATCH, RATES, ROW_TOKENS, SIZES

from rare_retention.report.figures import FIGURES


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
