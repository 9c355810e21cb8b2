"""Tasks of one direction each: the width at which each is learned (Fig. 18)."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.report.figures import data, style
from rare_retention.theory import utility

LEARNED = 0.5
"""A task counts as learned by a student whose captured share is above this."""


@style.styled()
def rank_one(results: xr.Dataset) -> Figure:
    """First width of the grid that learns task k, and the first that is at least N*_k(1)."""
    points = list(data.points(results))
    columns = min(len(points), 2)
    figure, panels = style.canvas("Width that learns task k", len(points), columns, 3.4)
    for panel, (name, point) in zip(panels, points, strict=True):
        tasks = point["task"].to_numpy() + 1
        needed = utility.staircase(*data.mixture(point), 1)
        grid = utility.first_on_grid(needed, point["width"]).astype(np.float64)
        grid[grid == 0] = np.nan  # no width of the grid is enough
        panel.step(tasks, grid, where="mid", color=style.BLUE, label="predicted")
        panel.plot(tasks, needed, color=style.GREY, linestyle=":", label="needed")
        top = 1.05 * float(point["width"].max())
        middle, low, high = _quantiles(empirical_width(point).clip(max=2 * top))
        panel.errorbar(
            tasks,
            middle,
            yerr=[middle - low, high - middle],
            fmt="o",
            color=style.VERMILLION,
            markersize=4.5,
            elinewidth=1,
            label="observed",
        )
        panel.set(title=name, ylim=(0, top))
        style.task_ticks(panel.xaxis, len(tasks))
    style.label(panels, columns, "task k (1: most frequent)", "width N")
    handles = [
        Line2D([], [], color=style.BLUE, label=r"predicted: first width $\geq N^*_k(1)$"),
        Line2D([], [], color=style.GREY, linestyle=":", label=r"$N^*_k(1)$"),
        Line2D([], [], color=style.VERMILLION, marker="o", ls="none", label="observed"),
    ]
    text = f"observed: first width with $s_k$ > {LEARNED:g}; mark: median; bar: least to greatest"
    style.legend(figure, handles, data.note(results, text))
    return figure


def empirical_width(point: xr.Dataset) -> xr.DataArray:
    """First width whose final share is above `LEARNED` [stream, initialisation, task].

    Infinite where no width reaches it, NaN where a student is missing.
    """
    signal = data.at_end(point, "signal")
    learned = xr.where(signal > LEARNED, point["width"].astype(np.float64), np.inf)
    return learned.min("width").where(signal.notnull().all("width"))


def _quantiles(widths: xr.DataArray) -> tuple[data.Array, data.Array, data.Array]:
    """Median, least and greatest over runs [K]; NaN where the median run never learns a task."""
    runs = widths.stack(run=data.RUNS).transpose("task", "run").to_numpy()
    kept = [np.sort(row[~np.isnan(row)]) for row in runs]
    middle, low, high = (
        np.array([row[pick(len(row))] if len(row) else np.nan for row in kept])
        for pick in (lambda n: n // 2, lambda n: 0, lambda n: n - 1)
    )
    middle[np.isinf(middle)] = np.nan
    return middle, low, high
