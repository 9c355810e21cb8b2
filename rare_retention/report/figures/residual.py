"""Signals of frequent and rare tasks against the common tasks' residual (Figs. 3, 15, 19)."""

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import capture, states
from rare_retention.report.figures import data, style
from rare_retention.report.figures.data import Spread
from rare_retention.report.figures.style import Colours

_FREQUENT = ("s", "^", "D")


@style.styled()
def residual_axis(results: xr.Dataset) -> Figure:
    """Final signals of the three most frequent tasks and of the rarest against delta_F."""
    points = data.mixtures(results)
    columns = min(len(points), 2)
    figure, panels = style.canvas("Signal and residual", len(points), columns, 3.1, sharey=True)
    colours = style.size_colours(data.sizes(results))
    for panel, (name, point) in zip(panels, points, strict=True):
        _panel(panel, name, point, colours)
    style.label(
        panels, columns, r"residual of the common tasks $\delta_F$", r"signal $\tilde{s}_k$"
    )
    rarest = max(data.number(results, states.rarest(point)) for _, point in points)
    marks = [
        Line2D([], [], color=style.GREY, marker=m, mfc="white", lw=0.8, label=f"task {k}")
        for k, m in enumerate(_FREQUENT, 1)
        if k < rarest
    ]
    marks += [
        Line2D([], [], color=style.INK, marker="o", label=f"task {rarest} (rarest)"),
        Line2D([], [], color=style.VERMILLION, ls="--", label=r"$\delta^*_F(N_r^{crit})$"),
    ]
    text = "point: mean at a width; bars: least to greatest"
    style.key(figure, panels, colours, data.note(results, text), marks, "o")
    return figure


def _panel(axes: Axes, name: str, point: xr.Dataset, colours: Colours) -> None:
    found = capture.against_residual(point, len(_FREQUENT))
    residual = data.spread(found["residual"])
    for place, mark in enumerate(_FREQUENT[: found.sizes["task"]]):
        signal = data.normalised_signal(point, found["frequent"].isel(task=place))
        if signal["task"].item() != states.rarest(point):
            _task(axes, residual, data.spread(signal), mark, colours)
    _task(axes, residual, data.spread(data.normalised_signal(point, found["rare"])), "o", colours)
    line = float(found["line"])
    if line > 0:  # at 0 no residual is left of it, and NaN says that there is no rare task
        axes.axvline(line, color=style.VERMILLION, linestyle="--", linewidth=1.4, zorder=1)
    style.plain_log_x(axes)
    axes.set_title(name)


def _task(axes: Axes, residual: Spread, signal: Spread, mark: str, colours: Colours) -> None:
    rare = mark == "o"
    axes.plot(
        residual.mean.to_numpy(),
        signal.mean.to_numpy(),
        color=style.INK if rare else style.LIGHT,
        linewidth=1.2 if rare else 0.8,
        zorder=1,
        label="rare" if rare else "frequent",
    )
    for size, colour in colours.items():
        x, y = data.at(residual, size=size), data.at(signal, size=size)
        axes.errorbar(
            x.mean,
            y.mean,
            xerr=x.bars(),
            yerr=y.bars(),
            fmt=mark,
            color=colour,
            markerfacecolor=colour if rare else "white",
            markersize=6 if rare else 4.5,
            elinewidth=0.8,
            label=f"{size}",
        )
