"""What the figures over the size of a model share: a panel for each task, a line for each place."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import representation
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colour

Values = Callable[[xr.Dataset, int], tuple[xr.DataArray, xr.DataArray]]
"""Point of the grid and task -> values and what chance gives, both [width, ...]."""


def draw(
    results: xr.Dataset, name: str, values: Values, title: str, y: str, chance: str, note: str
) -> tuple[Figure, list[Axes]]:
    """Values over the size, dashed what chance gives: a line for each place of the grid.

    Args:
        results: of a study.
        name: variable that says which tasks have a panel.
        values: what is drawn.
        title: of the figure.
        y: name of the vertical axes.
        chance: what the dashed lines are.
        note: line above the legend.
    """
    tasks, places = representation.asked(results, name), list(data.points(results))
    figure, panels = style.canvas(title, len(tasks))
    colours = list(style.frequency_colours(range(len(places))).values())
    for panel, task in zip(panels, tasks, strict=True):
        for (label, point), colour in zip(places, colours, strict=True):
            if task in point["task"]:
                _line(panel, *values(point, task), colour, label)
        panel.set_title(str(results.attrs["tasks"][task]))
        _name_sizes(panel, data.names(results))
    style.label(panels, 3, "size", y)
    entries = [
        Line2D([], [], color=colour, marker="o", label=label or "models")
        for (label, _), colour in zip(places, colours, strict=True)
    ]
    dashed = Line2D([], [], color=style.GREY, linestyle="--", label=chance)
    style.legend(figure, [*entries, dashed], data.note(results, note))
    return figure, panels


def _line(
    panel: Axes, found: xr.DataArray, chance: xr.DataArray, colour: Colour, label: str
) -> None:
    drawn = data.spread(found.sortby("width"))
    mean, low, high = (part.to_numpy() for part in drawn)
    sizes = drawn.mean["width"].to_numpy()
    bars = np.stack([mean - low, high - mean])
    panel.errorbar(sizes, mean, yerr=bars, color=colour, marker="o", elinewidth=1, label=label)
    level = data.spread(chance.sortby("width")).mean
    panel.plot(sizes, level, color=colour, linestyle="--", linewidth=1, label=f"chance, {label}")


def _name_sizes(panel: Axes, names: dict[int, str]) -> None:
    panel.set_xscale("log")
    panel.set_xticks(list(names), list(names.values()))
    panel.set_xticks([], minor=True)
    panel.set_xlim(min(names) / 1.5, max(names) * 1.5)
