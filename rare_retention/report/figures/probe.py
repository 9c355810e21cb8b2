"""How well the value of a symbol can be read off the residual stream (Fig. 7a)."""

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import representation
from rare_retention.report.figures import data, style
from rare_retention.report.figures.language import title
from rare_retention.report.figures.style import Colours

_LOWEST = -0.3  # far below 0 all probes say the same: nothing can be read


@style.styled()
def probe_r2(results: xr.Dataset) -> Figure:
    """R^2 of linear probes over training, a line for each size, a panel for each task and place."""
    drawn = [
        (name, point, task)
        for task in representation.asked(results, "r2")
        for name, point in data.points(results)
        if task in point["task"]
    ]
    figure, panels = style.canvas("Linear probes of the value", len(drawn))
    colours = style.size_colours(data.sizes(results))
    for panel, (name, point, task) in zip(panels, drawn, strict=True):
        _lines(panel, point, task, colours)
        panel.set_title(title(task, name))
        panel.set_ylim(_LOWEST, 1.03)
        style.step_ticks(panel)
    style.label(panels, 3, "step", "R² of the value")
    kinds = [
        Line2D([], [], color=style.INK, label="on symbols left out of the fit"),
        Line2D([], [], color=style.INK, linestyle="--", linewidth=1, label="in sample"),
    ]
    text = f"dots: measured, mean; band: least to greatest; below {_LOWEST:g} nothing is drawn"
    text = data.note(results, text)
    style.key(figure, panels, colours, text, kinds, names=data.names(results))
    return figure


def _lines(panel: Axes, point: xr.Dataset, task: str, colours: Colours) -> None:
    found, in_sample = (
        data.spread(representation.over_training(point, name, task))
        for name in ("r2", "r2_in_sample")
    )
    for size, colour in colours.items():
        mean, low, high = data.at(found, size=size)
        steps = found.mean["step"].to_numpy()
        panel.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
        panel.plot(steps, mean, color=colour, marker=".", label=f"{size}")
        other = data.at(in_sample, size=size).mean
        steps = in_sample.mean["step"].to_numpy()
        panel.plot(steps, other, color=colour, linestyle="--", linewidth=1, label=f"in {size}")
