"""Which size learns which frequency of an injected task (Fig. 5)."""

import xarray as xr
from matplotlib.figure import Figure

from rare_retention.evidence import states, text_tasks
from rare_retention.report.figures import data, style
from rare_retention.report.figures.language import GUESSING, blocks, canvas, loss_axes, over


@style.styled()
def size_frequency(results: xr.Dataset) -> Figure:
    """Final loss on the training half and accuracy on the test half over the frequency, by size."""
    found = blocks(results, "per_token")
    figure, groups = canvas(
        "Size and frequency", len(found), 2, "frequency f (instances per token)", ""
    )
    colours = style.size_colours(data.sizes(results))
    for (name, point, task), (left, right) in zip(found, groups, strict=True):
        over(left, _final(point, "loss", task), "per_token", colours)
        over(right, _final(point, "test_accuracy", task), "per_token", colours)
        chance = float(point["chance"].sel(task=task).max())
        loss_axes([left], text_tasks.guessing(point, task))
        right.axhline(chance, color=style.GREY, linestyle="--", linewidth=1, label="guessing")
        left.set(title=name, ylabel="training loss (nats)")
        right.set(title=name, ylabel="test accuracy", ylim=(-0.03, 1.03))
    panels = [panel for group in groups for panel in group]
    for panel in panels:
        style.grid_ticks(panel, results["per_token"])
    text = "point: mean at the end of training; bar: least to greatest"
    style.key(
        figure, panels, colours, data.note(results, text), [GUESSING], names=data.names(results)
    )
    return figure


def _final(point: xr.Dataset, name: str, task: str) -> xr.DataArray:
    def last(at: xr.Dataset) -> xr.DataArray:
        return states.final(at[name].sel(task=task))

    return states.along(point, "per_token", last, unfinished=True)
