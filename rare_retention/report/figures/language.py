"""What the figures of language models share: panels by task, the level of guessing, lines by size.

Losses are drawn on logarithmic axes: a student that does not know a task's labels yet has several
times the loss of guessing among them, one that has learned the task a hundredth of it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import text_tasks
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colours

GUESSING = Line2D([], [], color=style.GREY, linestyle="--", label="guessing among the labels")
"""The legend's entry for the level of guessing."""

_MOST_COLUMNS = 3
_LONGEST = 34  # characters of a title above one of three panels
_DEEPEST = 500  # times below the loss of guessing, where a task is learned whatever is left


class Block(NamedTuple):
    """Panels of one injected task at one place of the grid.

    Attributes:
        name: of the task and of the place.
        point: what is drawn in the panels.
        task: its name.
    """

    name: str
    point: xr.Dataset
    task: str


def blocks(results: xr.Dataset, keep: str) -> list[Block]:
    """The blocks of a figure whose panels show one dimension of the grid.

    Args:
        results: of a study.
        keep: that dimension.
    """
    return [
        Block(title(task, name), point, task)
        for name, point in data.points(results, (keep,))
        for task in text_tasks.injected(point)
    ]


def title(*parts: str) -> str:
    """Parts of a panel's title, the empty ones left out; one a line where a line has no room."""
    given = [part for part in parts if part]
    joined = ", ".join(given)
    return joined if len(joined) <= _LONGEST else "\n".join(given)


def canvas(name: str, groups: int, count: int, x: str, y: str) -> tuple[Figure, list[list[Axes]]]:
    """A figure of groups of panels, each of which begins a row and names its axes.

    Args:
        name: title of the figure.
        groups: number of groups.
        count: panels in each.
        x: name of the axes below the last panels of each group.
        y: name of the axes on its left.
    """
    rows = -(-count // _MOST_COLUMNS)
    columns = -(-count // rows)
    each = rows * columns
    figure, panels = style.canvas(name, groups * each, columns, 2.5)
    found = [panels[start : start + each] for start in range(0, len(panels), each)]
    for group in found:
        for spare in group[count:]:
            spare.remove()
        style.label(group[:count], columns, x, y)
    return figure, [group[:count] for group in found]


def loss_axes(panels: Sequence[Axes], guessing: float) -> None:
    """Draws the loss of guessing and gives the panels of a task one logarithmic scale of losses.

    Args:
        panels: in which everything else is drawn.
        guessing: loss in nats.
    """
    for panel in panels:
        panel.axhline(guessing, color=style.GREY, linestyle="--", linewidth=1, label="guessing")
    low = min(float(panel.dataLim.minposy) for panel in panels)
    high = max(float(panel.dataLim.y1) for panel in panels)
    for panel in panels:
        style.plain_log_y(panel, max(low, guessing / _DEEPEST) / 1.3, high * 1.3)


def over(axes: Axes, values: xr.DataArray, along: str, colours: Colours) -> None:
    """A line for each size over a dimension of the grid, on a logarithmic axis.

    Args:
        axes: where to draw.
        values: [along, size, stream, initialisation].
        along: that dimension.
        colours: of the sizes.
    """
    drawn, places = data.spread(values.sortby(along)), np.sort(values[along].to_numpy())
    for size, colour in colours.items():
        mine = data.at(drawn, size=size)
        axes.errorbar(
            places,
            mine.mean,
            yerr=mine.bars(),
            color=colour,
            marker="o",
            elinewidth=1,
            label=f"{size}",
        )
    axes.set(xscale="log", xlim=(places[0] / 1.4, places[-1] * 1.4))


def paths(axes: Axes, x: xr.DataArray, values: xr.DataArray, colours: Colours) -> None:
    """How each size moves along two means while it trains; a mark where it ends.

    Args:
        axes: where to draw.
        x: means [size, step].
        values: [size, step, stream, initialisation].
        colours: of the sizes.
    """
    drawn = data.spread(values)
    for size, colour in colours.items():
        at, mine = x.sel(size=size).to_numpy(), data.at(drawn, size=size)
        axes.plot(at, mine.mean, color=colour, linewidth=1.4, label=f"{size}")
        axes.errorbar(
            at[-1:],
            mine.mean[-1:],
            yerr=mine.bars()[:, -1:],
            fmt="o",
            color=colour,
            elinewidth=1,
            label=f"{size} at the end",
        )
