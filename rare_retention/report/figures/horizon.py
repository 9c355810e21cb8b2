"""Very long training: tasks above a student's capacity are never learned (Fig. 21)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from rare_retention.evidence import capture, states
from rare_retention.report.figures import data, style


@style.styled()
def long_horizon(results: xr.Dataset) -> Figure:
    """Normalised loss of every task over steps, a panel for each size."""
    points = [
        (f"{title}, {name}" if name else title, point.sel(size=size))
        for name, point in data.mixtures(results)
        for size, title in data.names(point).items()
    ]
    figure, panels = style.canvas("Long training", len(points), 3, 2.3, sharex=True, sharey=True)
    for panel, (name, point) in zip(panels, points, strict=True):
        _panel(panel, name, point)
    style.label(panels, 3, "step", "loss $l_k$ / baseline")
    handles = [
        Line2D([], [], color=style.SKY, label="task within capacity, or tied at the cut"),
        Line2D([], [], color=style.VERMILLION, label="task above capacity ($n_k(N) = 0$)"),
    ]
    text = "line: mean of a task; band: least to greatest of tasks above capacity"
    style.legend(figure, handles, data.note(results, text))
    return figure


def _panel(axes: Axes, name: str, point: xr.Dataset) -> None:
    loss = states.common(point["loss"]) / data.baseline(point)
    loss = loss.sel(step=loss["step"] > 0)  # the axis is logarithmic
    drawn = data.spread(loss)
    above = _above(point)
    steps = loss["step"].to_numpy()
    for task in np.argsort(above, kind="stable"):  # the highlighted ones on top
        mean, low, high = data.at(drawn, task=point["task"][task].item())
        colour = style.VERMILLION if above[task] else style.SKY
        if above[task]:
            axes.fill_between(steps, low, high, color=colour, alpha=0.08, linewidth=0)
        axes.plot(steps, mean, color=colour, linewidth=0.9, alpha=0.85, label=f"task {task + 1}")
    style.plain_log_x(axes)
    ends = (steps[0] / 1.1, steps[-1] * 1.1)  # Matplotlib finds none where every student is missing
    axes.set(xlim=ends, title=f"{name} ({above.sum()} of {len(above)} above)")


def _above(point: xr.Dataset) -> NDArray[np.bool_]:
    """Tasks to which no optimum of the width gives a feature [K]; tied ones have one in some."""
    certain, tied, _ = capture.cut(*states.mixture(point), int(point["width"]))
    return (certain == 0) & (tied == 0)
