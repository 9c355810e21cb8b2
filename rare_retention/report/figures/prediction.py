"""Observed against predicted loss of every task and width (Figs. 2b, 14)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colour
from rare_retention.theory import utility


@style.styled()
def observed_vs_predicted(results: xr.Dataset) -> Figure:
    """Final normalised loss against Theorem 3's, a point for each task and width."""
    points = list(data.points(results))
    columns = min(len(points), 2)
    figure, panels = style.canvas(
        "Observed and predicted loss", len(points), columns, 3.4, sharex=True, sharey=True
    )
    colours = style.width_colours(results["width"])
    for panel, (name, point) in zip(panels, points, strict=True):
        _panel(panel, name, point, colours)
    style.label(
        panels, columns, r"predicted final loss $l^*_k(N)$ / baseline", "observed / baseline"
    )
    line = Line2D([], [], color=style.INK, linewidth=0.9, label="observed = predicted")
    text = "point: mean of a task at a width; bar: least to greatest"
    style.key(figure, panels, colours, data.note(results, text), [line], "o")
    return figure


def _panel(axes: Axes, name: str, point: xr.Dataset, colours: dict[int, Colour]) -> None:
    observed = data.normalised(data.at_end(point, "loss"), point)
    predicted = data.normalised(predicted_loss(point), point).where(observed.notnull())
    values = data.spread(observed)
    axes.axline((0, 0), slope=1, color=style.INK, linewidth=0.9, zorder=1)
    for width, colour in colours.items():
        at = {"width": width}
        mine = data.Spread(*(part.sel(at) for part in values))
        axes.errorbar(
            data.spread(predicted).mean.sel(at),
            mine.mean,
            yerr=data.bars(mine),
            fmt="o",
            color=colour,
            markersize=4,
            markeredgewidth=0,
            elinewidth=0.7,
            alpha=0.8,
            label=f"{width}",
        )
    error = float(np.abs(observed - predicted).mean())
    text = f"mean |difference| {error:.3f}" if np.isfinite(error) else "every student is missing"
    axes.text(0.04, 0.95, text, transform=axes.transAxes, va="top", fontsize=9)
    axes.set_title(name)


def predicted_loss(point: xr.Dataset) -> xr.DataArray:
    """Losses l*_k(N) of Theorem 3 [stream, width, initialisation, task]; see `data.counts`."""
    counts = data.counts(point)
    _, spectra = data.mixture(point)
    return counts.copy(data=utility.predicted_loss(spectra, counts.to_numpy()))


def predicted_signal(point: xr.Dataset) -> xr.DataArray:
    """Signals s*_k(N) of Theorem 3 [stream, width, initialisation, task]; see `data.counts`."""
    counts = data.counts(point)
    _, spectra = data.mixture(point)
    return counts.copy(data=utility.predicted_signal(spectra, counts.to_numpy()))
