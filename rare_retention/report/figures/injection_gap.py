"""What a longer gap between injections costs at the same long-run frequency (Fig. 6b)."""

import xarray as xr
from matplotlib.figure import Figure

from rare_retention.evidence import exposures, states, text_tasks
from rare_retention.report.figures import data, style
from rare_retention.report.figures.language import GUESSING, blocks, canvas, loss_axes, over

_HALVES = {"loss": "training half", "test_loss": "test half"}


@style.styled()
def injection_gap(results: xr.Dataset) -> Figure:
    """Late loss on both halves of a task over the gap n of n instances every n batches, by size."""
    found = blocks(results, "gap")
    figure, groups = canvas("Gap between injections", len(found), 2, "gap n (steps)", "loss (nats)")
    colours = style.size_colours(data.sizes(results))
    for (name, point, task), panels in zip(found, groups, strict=True):
        for panel, (half, words) in zip(panels, _HALVES.items(), strict=True):
            over(panel, by_gap(point, half, task), "gap", colours)
            panel.set_title(f"{name}: {words}")
            style.grid_ticks(panel, point["gap"])
        loss_axes(panels, text_tasks.guessing(point, task))
    every = [panel for panels in groups for panel in panels]
    text = "point: mean just before the last measured injection; bar: least to greatest"
    style.key(
        figure, every, colours, data.note(results, text), [GUESSING], names=data.names(results)
    )
    return figure


def by_gap(point: xr.Dataset, name: str, task: str) -> xr.DataArray:
    """Late values of a task just before an injection, at the end where none was measured so.

    Late are the states of the last quarter: an early one would compare runs of different length.
    """

    def late(at: xr.Dataset) -> xr.DataArray:
        values = at[name].sel(task=task)
        before = exposures.before_last(values, exposures.of(at, task), late=0.25)
        return states.final(values) if before is None else before

    return states.along(point, "gap", late, unfinished=True)
