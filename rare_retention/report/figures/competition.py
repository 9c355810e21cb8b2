"""One and two neurons between a common and a rare task (Example 7, Fig. 11)."""

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import states
from rare_retention.report.figures import data, style

_TASKS: tuple[tuple[str, str, style.Line], ...] = (
    ("common", style.BLUE, "--"),
    ("rare", style.VERMILLION, "-"),
)


@style.styled()
def competition(results: xr.Dataset) -> Figure:
    """Alignment of the best neuron with each task's direction over training."""
    points = [
        (name, point.sel(size=size))
        for name, point in data.points(results)
        for size in data.sizes(point)
    ]
    columns = min(results.sizes["size"], 3)
    figure, panels = style.canvas(
        "Neurons between two tasks", len(points), columns, 2.9, sharey=True
    )
    for panel, (name, point) in zip(panels, points, strict=True):
        alignment = states.common(point["alignment"])
        drawn = data.spread(alignment)
        for task, colour, line in _TASKS:
            mean, low, high = data.at(drawn, task=task)
            panel.fill_between(alignment["step"], low, high, color=colour, alpha=0.18, linewidth=0)
            panel.plot(alignment["step"], mean, color=colour, linestyle=line, label=f"{task} task")
        count = int(point["width"])
        neurons = {1: "one neuron", 2: "two neurons"}.get(count, f"{count} neurons")
        panel.set(title=f"{neurons}, {name}" if name else neurons, ylim=(-0.03, 1.03))
        style.step_ticks(panel)
    style.label(panels, columns, "step", r"alignment $(u \cdot v_k)^2$")
    handles = [
        Line2D([], [], color=c, linestyle=line, label=f"{task} task") for task, c, line in _TASKS
    ]
    text = "line: mean; band: least to greatest"
    style.legend(figure, handles, data.note(results, text))
    return figure
