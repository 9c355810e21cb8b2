"""Tasks of one direction each: the width at which each is learned (Fig. 18)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import capture, states
from rare_retention.report.figures import data, style
from rare_retention.theory import utility
from rare_retention.theory.checks import Array


@style.styled()
def rank_one(results: xr.Dataset) -> Figure:
    """First width of the grid that learns task k, and the first that is at least N*_k(1)."""
    points = data.mixtures(results)
    columns = min(len(points), 2)
    figure, panels = style.canvas("Width that learns task k", len(points), columns, 3.4)
    for panel, (name, point) in zip(panels, points, strict=True):
        _panel(panel, name, point)
    style.label(panels, columns, "task k (1: most frequent)", "width N")
    handles = [
        Line2D([], [], color=style.BLUE, label=r"predicted: first width $\geq N^*_k(1)$"),
        Line2D([], [], color=style.GREY, linestyle=":", label=r"$N^*_k(1)$"),
        Line2D([], [], color=style.VERMILLION, marker="o", ls="none", label="observed"),
    ]
    text = "observed: first width with $s_k$ > 0.5; mark: median; bar: least to greatest"
    style.legend(figure, handles, data.note(results, text))
    return figure


def _panel(axes: Axes, name: str, point: xr.Dataset) -> None:
    tasks = np.arange(point.sizes["task"]) + 1
    top = 1.05 * float(point["width"].max())
    found = capture.rank_one_widths(point)
    predicted = found["predicted"].where(found["predicted"] > 0)
    needed = utility.staircase(*states.mixture(point), 1)
    axes.step(tasks, predicted.to_numpy(), where="mid", color=style.BLUE, label="predicted")
    axes.plot(tasks, needed, color=style.GREY, linestyle=":", label="needed")
    middle, low, high = observed(found["empirical"])
    axes.errorbar(
        tasks,
        middle,
        yerr=[middle - low, np.minimum(high, 2 * top) - middle],
        fmt="o",
        color=style.VERMILLION,
        markersize=4.5,
        elinewidth=1,
        label="observed",
    )
    axes.set(title=name, ylim=(0, top))
    style.task_ticks(axes.xaxis, len(tasks))


def observed(empirical: xr.DataArray) -> tuple[Array, Array, Array]:
    """Median, least and greatest empirical width of each task [K].

    A student that never learns a task stands above all widths: the greatest is then infinite, and
    all three are NaN if the median is. Missing students are left out.

    Args:
        empirical: [stream, initialisation, task], 0 where no width learns the task.
    """
    widths = empirical.where(empirical != 0, np.inf).where(empirical.notnull())
    runs = widths.stack(run=states.UNITS).transpose("task", "run").to_numpy()
    result = np.full((3, len(runs)), np.nan)
    for task, row in enumerate(runs):
        kept = np.sort(row[~np.isnan(row)])
        if len(kept) and np.isfinite(kept[len(kept) // 2]):
            result[:, task] = kept[len(kept) // 2], kept[0], kept[-1]
    return result[0], result[1], result[2]
