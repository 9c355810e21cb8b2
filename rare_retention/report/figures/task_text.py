"""Loss of an injected task against that of natural text (Fig. 22)."""

import xarray as xr
from matplotlib.figure import Figure

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


@style.styled()
def task_text(results: xr.Dataset) -> Figure:
    """How task and text are learned together, a line for each size, a panel for each frequency."""
    found = [(block, list(data.points(block.point))) for block in blocks(results, "per_token")]
    count = max(len(points) for _, points in found)
    figure, groups = canvas(
        "Task and text", len(found), count, "loss of natural text (nats per token)", "loss (nats)"
    )
    colours = style.size_colours(data.sizes(results))
    for (block, points), panels in zip(found, groups, strict=True):
        for panel, (name, point) in zip(panels, points, strict=False):
            text = data.spread(text_tasks.text_loss(point)).mean
            task = states.common(point["loss"]).sel(task=block.task)
            paths(panel, text, task, colours)
            panel.invert_xaxis()  # training goes from left to right
            panel.set_title(title(block.name, name))
        loss_axes(panels, text_tasks.guessing(block.point, block.task))
    every = [panel for panels in groups for panel in panels]
    note = "line: mean over training, from left to right; bar at its end: least to greatest"
    style.key(
        figure, every, colours, data.note(results, note), [GUESSING], names=data.names(results)
    )
    return figure
