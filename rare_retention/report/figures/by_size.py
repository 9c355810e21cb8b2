"""What the figures over the size of a model share: a panel for each task, a line for each place."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import representation
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colour, Line

Values = Callable[[xr.Dataset, str], tuple[xr.DataArray, ...]]
"""Point of the grid and task -> values, and what they are to be compared with, all [size, ...]."""


def draw(
    results: xr.Dataset, name: str, values: Values, title: str, y: str, levels: Mapping[str, Line]
) -> tuple[Figure, list[Axes]]:
    """Values at the last snapshot over the size: a line for each place of the grid.

    Args:
        results: of a study.
        name: variable that says which tasks have a panel.
        values: what is drawn.
        title: of the figure.
        y: name of the vertical axes.
        levels: what the values are compared with -> how it is drawn.
    """
    tasks, places = representation.asked(results, name), list(data.points(results))
    figure, panels = style.canvas(title, len(tasks))
    colours = _colours([point for _, point in places])
    for panel, task in zip(panels, tasks, strict=True):
        for (label, point), colour in zip(places, colours, strict=True):
            if task in point["task"]:
                found, *others = values(point, task)
                _points(panel, found, colour, label)
                for other, (kind, line) in zip(others, levels.items(), strict=True):
                    _level(panel, other, colour, line, f"{kind}, {label}")
        panel.set_title(task)
        _name_sizes(panel, data.names_by_parameters(results))
    style.label(panels, 3, "size", y)
    entries = [
        Line2D([], [], color=colour, marker="o", label=label or "models")
        for (label, _), colour in zip(places, colours, strict=True)
    ]
    for kind, line in levels.items():
        entries.append(Line2D([], [], color=style.GREY, linestyle=line, linewidth=1, label=kind))
    text = "point: mean at the last snapshot; bar: least to greatest"
    style.legend(figure, entries, data.note(results, text))
    return figure, panels


def _colours(points: Sequence[xr.Dataset]) -> list[Colour]:
    """A colour for each place: that of its frequency where places differ in it alone."""
    rates = [float(point["per_token"]) for point in points if "per_token" in point.coords]
    keys = rates if len(set(rates)) == len(points) else list(range(len(points)))
    shades = style.frequency_colours(keys)
    return [shades[key] for key in keys]


def _points(panel: Axes, values: xr.DataArray, colour: Colour, label: str) -> None:
    drawn = data.spread(values)
    mean, low, high = (part.to_numpy() for part in drawn)
    sizes, bars = drawn.mean["parameters"].to_numpy(), np.stack([mean - low, high - mean])
    panel.errorbar(sizes, mean, yerr=bars, color=colour, marker="o", elinewidth=1, label=label)


def _level(panel: Axes, values: xr.DataArray, colour: Colour, line: Line, label: str) -> None:
    mean = data.spread(values).mean
    sizes = mean["parameters"].to_numpy()
    panel.plot(sizes, mean, color=colour, linestyle=line, linewidth=1, label=label)


def _name_sizes(panel: Axes, names: Mapping[int, str]) -> None:
    panel.set_xscale("log")
    panel.set_xticks(list(names), list(names.values()))
    panel.set_xticks([], minor=True)
    panel.set_xlim(min(names) / 1.5, max(names) * 1.5)
