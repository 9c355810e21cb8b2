"""Observed against predicted loss of every task and width (Figs. 2b, 14)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import capture, states
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colours


@style.styled()
def observed_vs_predicted(results: xr.Dataset) -> Figure:
    """Final normalised loss against Theorem 3's, a point for each task and width."""
    points = data.mixtures(results)
    columns = min(len(points), 2)
    figure, panels = style.canvas(
        "Observed and predicted loss", len(points), columns, 3.4, sharex=True, sharey=True
    )
    colours = style.size_colours(data.sizes(results))
    for panel, (name, point) in zip(panels, points, strict=True):
        _panel(panel, name, point, colours)
    style.label(
        panels, columns, r"predicted final loss $l^*_k(N)$ / baseline", "observed / baseline"
    )
    line = Line2D([], [], color=style.INK, linewidth=0.9, label="observed = predicted")
    text = "point: mean of a task at a width; bar: least to greatest"
    style.key(figure, panels, colours, data.note(results, text), [line], "o")
    return figure


def _panel(axes: Axes, name: str, point: xr.Dataset, colours: Colours) -> None:
    observed = states.final(point["loss"]) / data.baseline(point)
    # The share of a task's energy that is not captured is its loss over the baseline.
    predicted = 1 - capture.shares(point)["predicted"].where(observed.notnull())
    seen, foreseen = data.spread(observed), data.spread(predicted)
    axes.axline((0, 0), slope=1, color=style.INK, linewidth=0.9, zorder=1)
    for size, colour in colours.items():
        mine = data.at(seen, size=size)
        axes.errorbar(
            data.at(foreseen, size=size).mean,
            mine.mean,
            yerr=mine.bars(),
            fmt="o",
            color=colour,
            markersize=4,
            markeredgewidth=0,
            elinewidth=0.7,
            alpha=0.8,
            label=f"{size}",
        )
    error = float(abs(observed - predicted).mean())
    text = f"mean |difference| {error:.3f}" if np.isfinite(error) else "every student is missing"
    axes.text(0.04, 0.95, text, transform=axes.transAxes, va="top", fontsize=9)
    axes.set_title(name)
