"""Loss of an injected task against training compute (Fig. 23)."""

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import states, text_tasks
from rare_retention.report.figures import data, style
from rare_retention.report.figures.language import (
    GUESSING,
    blocks,
    canvas,
    loss_axes,
    paths,
    title,
)
from rare_retention.report.figures.style import Colours


@style.styled()
def task_compute(results: xr.Dataset) -> Figure:
    """Task loss over compute 6 N tokens and its frontier over sizes, a panel for each frequency."""
    found = [(block, list(data.points(block.point))) for block in blocks(results, "per_token")]
    count = max(len(points) for _, points in found)
    figure, groups = canvas(
        "Task and compute", len(found), count, "compute 6 N tokens (FLOPs)", "loss (nats)"
    )
    colours = style.size_colours(data.sizes(results))
    for (block, points), panels in zip(found, groups, strict=True):
        for panel, (name, point) in zip(panels, points, strict=False):
            _panel(panel, point, block.task, colours)
            panel.set_title(title(block.name, name))
        loss_axes(panels, text_tasks.guessing(block.point, block.task))
    every = [panel for panels in groups for panel in panels]
    best = Line2D([], [], color=style.INK, linestyle=":", linewidth=2, label="frontier")
    note = (
        "line: mean; bar at its end: least to greatest; frontier: means that no size betters with "
        "less compute"
    )
    style.key(
        figure,
        every,
        colours,
        data.note(results, note),
        [GUESSING, best],
        names=data.names(results),
    )
    return figure


def _panel(axes: Axes, point: xr.Dataset, task: str, colours: Colours) -> None:
    loss = states.common(point["loss"]).sel(task=task)
    loss = loss.sel(step=loss["step"] > 0)  # the axis is logarithmic
    tokens, mean = text_tasks.step_tokens(point), data.spread(loss).mean
    paths(axes, text_tasks.compute(mean, tokens), loss, colours)
    best = text_tasks.frontier(mean, tokens)
    axes.plot(
        best["compute"],
        best["loss"],
        color=style.INK,
        linestyle=":",
        linewidth=2,
        label="frontier",
    )
    axes.set_xscale("log")
