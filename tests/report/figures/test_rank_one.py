"""The first width that learns each task of one direction."""

import numpy as np
from drawn import container, lines

from rare_retention.report.figures import FIGURES, rank_one


def test_rank_one_predicts_the_first_width_of_the_grid(study):
    results = study("rank_one")
    (panel,) = FIGURES["rank_one"].draw(results).axes
    (predicted,) = lines(panel, "predicted")
    widths = results["size"].to_numpy()
    assert predicted.get_ydata().tolist() == [
        min(w for w in widths if w >= k) for k in range(1, 13)
    ]
    (needed,) = lines(panel, "needed")
    assert needed.get_ydata().tolist() == list(range(1, 13))


def test_rank_one_takes_the_median_of_the_runs(study):
    results = study("rank_one")
    results["signal"][:] = 0.0
    for stream, draw, first in ((0, 0, 4), (0, 1, 6), (1, 0, 6), (1, 1, 9)):
        wide = results["size"] >= first
        place = {"stream": stream, "initialisation": draw, "size": wide, "task": "regression 4"}
        results["signal"].loc[place] = 0.8
    (panel,) = FIGURES["rank_one"].draw(results).axes
    marks, _, (bars,) = container(panel, "observed").lines
    assert marks.get_ydata()[3] == 6
    assert bars.get_segments()[3][:, 1].tolist() == [4, 9]
    assert np.isnan(np.delete(marks.get_ydata(), 3)).all()  # never learned


def test_rank_one_bars_leave_the_panel_where_a_run_never_learns(study):
    empirical = study("rank_one")["signal"].isel(step=-1, size=0, drop=True) * 0 + 4
    empirical[1, 1, 0] = 0
    middle, low, high = rank_one.observed(empirical)
    assert (middle[0], low[0], high[0]) == (4, 4, np.inf)
    empirical[0, 0, 0] = np.nan
    assert rank_one.observed(empirical)[0][0] == 4
