"""Final loss and accuracy by size and frequency."""

import made_language
import numpy as np
from drawn import UNITS, line, titles
from made_language import RATES

from rare_retention.report.figures import FIGURES


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
