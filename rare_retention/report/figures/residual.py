"""Signals of frequent and rare tasks against the common tasks' residual (Figs. 3, 15, 19)."""

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colour
from rare_retention.theory import interference, utility

_FREQUENT = {0: "s", 1: "^", 2: "D"}


@style.styled()
def residual_axis(results: xr.Dataset) -> Figure:
    """Final signals of the three most frequent tasks and of the rarest against delta_F."""
    points = list(data.points(results))
    columns = min(len(points), 2)
    figure, panels = style.canvas("Signal and residual", len(points), columns, 3.1, sharey=True)
    colours = style.width_colours(results["width"])
    rare = data.rarest(results)
    frequent = {k: mark for k, mark in _FREQUENT.items() if k < rare}
    for panel, (name, point) in zip(panels, points, strict=True):
        for task, mark in frequent.items():
            _task(panel, point, task, mark, colours)
        _task(panel, point, rare, "o", colours)
        _threshold(panel, point, rare)
        style.plain_log_x(panel)
        panel.set_title(name)
    style.label(
        panels, columns, r"residual of the common tasks $\delta_F$", r"signal $\tilde{s}_k$"
    )
    marks = [
        Line2D([], [], color=style.GREY, marker=m, mfc="white", lw=0.8, label=f"task {k + 1}")
        for k, m in frequent.items()
    ]
    marks.append(Line2D([], [], color=style.INK, marker="o", label=f"task {rare + 1} (rarest)"))
    marks.append(Line2D([], [], color=style.VERMILLION, ls="--", label=r"$\delta^*_F(N_r^{crit})$"))
    text = "point: mean at a width; bars: least to greatest"
    style.key(figure, panels, colours, data.note(results, text), marks, "o")
    return figure


def _task(axes: Axes, point: xr.Dataset, task: int, mark: str, colours: dict[int, Colour]) -> None:
    rare = mark == "o"
    signal = data.normalised_signal(point, data.at_end(point, "signal").sel(task=task))
    across = data.spread(data.at_end(point, "residual"))
    up = data.spread(signal)
    axes.plot(
        across.mean,
        up.mean,
        color=style.INK if rare else style.LIGHT,
        linewidth=1.2 if rare else 0.8,
        zorder=1,
        label=f"task {task + 1}",
    )
    for width, colour in colours.items():
        x, y = (data.Spread(*(part.sel(width=width) for part in s)) for s in (across, up))
        axes.errorbar(
            x.mean,
            y.mean,
            xerr=data.bars(x)[:, None],
            yerr=data.bars(y)[:, None],
            fmt=mark,
            color=colour,
            markerfacecolor=colour if rare else "white",
            markersize=6 if rare else 4.5,
            elinewidth=0.8,
            label="_",
        )


def _threshold(axes: Axes, point: xr.Dataset, rare: int) -> None:
    """The residual below which the optimum of F no longer resists the rare task (Prop. 6)."""
    prior, spectra = data.mixture(point)
    common = utility.common_set(prior)
    if rare in common:
        return
    residual = interference.critical_residual(prior, spectra, common, rare)
    if residual > 0:
        axes.axvline(residual, color=style.VERMILLION, linestyle="--", linewidth=1.4, zorder=1)
