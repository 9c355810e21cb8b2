"""What students hold of the rare task along branches of their training."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rare_retention.evidence import branches as evidence
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colours

_MOST_COLUMNS = 3


@style.styled()
def branches(results: xr.Dataset) -> Figure:
    """Level by the steps since a branch went on; a panel for each branch of each grid point.

    It is raw: claims take off what students have of the task without having seen it.
    """
    names = [name for name in results[evidence.DIM].to_numpy().tolist() if name in _all(results)]
    each = [
        (", ".join(part for part in (name, label) if part), point, name)
        for label, point in data.points(results, keep=(evidence.DIM,))
        for name in names
    ]
    columns = min(len(each), _MOST_COLUMNS)
    figure, axes = style.canvas("Branches", len(each), columns, 2.5, sharey=True)
    colours = style.size_colours(data.sizes(results))
    fading = evidence.without(results)
    for panel, (title, point, name) in zip(axes, each, strict=False):
        _curve(panel, evidence.level(point, name), colours, halved=name in fading)
        panel.set_title(title)
    style.label(axes, columns, "steps since the branch went on", "level")
    text = (
        "line: mean; band: least to greatest; dashed, where the task is left out: half of the mean "
        "at the start"
    )
    style.key(figure, axes, colours, data.note(results, text), names=data.names(results))
    return figure


def _all(results: xr.Dataset) -> set[str]:
    return set(evidence.changed(results))


def _curve(axes: Axes, level: xr.DataArray, colours: Colours, halved: bool) -> None:
    drawn, steps = data.spread(level), level["step"].to_numpy()
    for size, colour in colours.items():
        mean, low, high = data.at(drawn, size=size)
        axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(steps, mean, color=colour)
        if halved and len(mean) and np.isfinite(mean[0]):
            axes.axhline(mean[0] / 2, color=colour, linewidth=0.7, linestyle="--", zorder=1)
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
