"""Tasks of different complexity: what students capture of each (Figs. 12-16)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import capture, states
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colours
from rare_retention.theory import utility

_MOST_WIDTHS = 5  # more lines would hide each other


@style.styled()
def complexity(results: xr.Dataset) -> Figure:
    """Captured share of each task for each spectrum: observed marks on predicted lines."""
    points = data.mixtures(results)
    columns = min(len(points), 2)
    figure, panels = style.canvas(
        "Captured share by task", len(points), columns, 2.9, sharex=True, sharey=True
    )
    colours = _chosen(style.size_colours(data.sizes(results)))
    for panel, (name, point) in zip(panels, points, strict=True):
        _panel(panel, name, point, colours)
    style.label(panels, columns, "task k (1: most frequent)", "captured share $s_k$")
    kinds = [
        Line2D([], [], color=style.GREY, label="predicted"),
        Line2D([], [], color=style.GREY, marker="o", ls="none", label="observed"),
    ]
    text = "mark: mean; bar: least to greatest"
    if len(colours) < results.sizes["size"]:
        text += f"; {len(colours)} of {results.sizes['size']} widths shown"
    style.key(figure, panels, colours, data.note(results, text), kinds)
    return figure


def _panel(axes: Axes, name: str, point: xr.Dataset, colours: Colours) -> None:
    shares = capture.shares(point)
    seen = data.spread(shares["observed"])
    predicted = data.spread(shares["predicted"].where(shares["observed"].notnull()))
    tasks = np.arange(point.sizes["task"]) + 1
    for size, colour in colours.items():
        mine = data.at(seen, size=size)
        axes.plot(
            tasks,
            data.at(predicted, size=size).mean,
            color=colour,
            linewidth=1.1,
            label=f"{size}",
        )
        axes.errorbar(
            tasks,
            mine.mean,
            yerr=mine.bars(),
            fmt="o",
            color=colour,
            markersize=3.5,
            elinewidth=0.8,
            label=f"{size} observed",
        )
    _, spectra = states.mixture(point)
    needed = [utility.effective_directions(spectrum) for spectrum in spectra]
    low, high = min(needed), max(needed)
    span = f"{low}" if low == high else f"{low} to {high}"
    directions = f"{span} directions hold 90%" if high > 1 else "1 direction holds 90%"
    axes.set(title=f"{name}: {directions}" if name else directions, ylim=(-0.04, 1.04))
    style.task_ticks(axes.xaxis, len(tasks))


def _chosen(colours: Colours) -> Colours:
    """At most `_MOST_WIDTHS` widths, evenly chosen."""
    sizes = list(colours)
    places = np.linspace(0, len(sizes) - 1, min(len(sizes), _MOST_WIDTHS)).round().astype(int)
    return {sizes[i]: colours[sizes[i]] for i in places}
