"""Losses of tasks above capacity over long training."""

import numpy as np
from drawn import lines

from rare_retention.report.figures import FIGURES
from rare_retention.theory import utility


def test_long_horizon_highlights_tasks_above_capacity(study):
    results = study("long_horizon")
    figure = FIGURES["long_horizon"].draw(results)
    assert len(figure.axes) == 3
    point = results.isel(prior_exponent=0)
    prior, spectra = point["frequency"].to_numpy(), point["spectrum"].to_numpy()
    for i, panel in enumerate(figure.axes):
        least = np.sort(utility.utilities(prior, spectra).ravel())[-int(results["size"][i])]
        above = utility.utilities(prior, spectra)[:, 0] < least * (1 - 1e-9)  # a tie is not above
        assert f"({above.sum()} of 8 above)" in panel.get_title(loc="left")
        colours = [lines(panel, f"task {k + 1}")[0].get_color() for k in range(8)]
        assert [colour == "#D55E00" for colour in colours] == above.tolist()
        (line,) = lines(panel, "task 8")
        assert line.get_xdata().tolist() == [50, 100, 200, 400]  # step 0 has no logarithm
        loss = point["loss"].isel(size=i, task=7).mean(("stream", "initialisation"))[1:]
        np.testing.assert_allclose(line.get_ydata(), loss / spectra[7].sum(), rtol=1e-5)
