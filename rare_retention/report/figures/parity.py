"""Sparse parities at power-law frequencies: how well and when each subtask is learned."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from rare_retention.evidence import states, subtasks
from rare_retention.report.figures import data, style

Values = Callable[[xr.Dataset], xr.DataArray]
"""Point of the grid -> values of its subtasks [..., size, task]."""


@style.styled()
def parity(results: xr.Dataset) -> Figure:
    """Final accuracy, step and own rows until learned over the frequency of a subtask, by width."""
    points = list(data.points(results))
    figure, panels = style.canvas("Sparse parities", 3 * len(points), 3, 3.0, sharex=True)
    colours = style.size_colours(data.sizes(results))
    for i, (name, point) in enumerate(points):
        accuracy, step, rows = panels[3 * i : 3 * i + 3]
        _draw(accuracy, point, _final, colours)
        _draw(step, point, _step, colours)
        _draw(rows, point, _rows, colours)
        accuracy.axhline(subtasks.CHANCE, color=style.GREY, linewidth=0.9, linestyle=":")
        accuracy.set(ylim=(0.4, 1.03), title=name, ylabel="accuracy at the end")
        step.set_ylabel("step at which learned")
        rows.set_ylabel("own rows until learned")
        for panel in (step, rows):
            _log_y(panel)
        _log_x(accuracy)
    for panel in panels[-3:]:
        panel.set_xlabel("frequency of the subtask")
    text = (
        "point: mean over students; bar: least to greatest; learned: accuracy of "
        f"{subtasks.LEARNED:g}\nmiddle and right: subtasks that every student of the width learned"
    )
    style.key(figure, panels, colours, data.note(results, text), marker="o")
    return figure


def _draw(panel: Axes, point: xr.Dataset, values: Values, colours: style.Colours) -> None:
    """Values by width over the frequency of the subtasks; those without a mean are left out."""
    drawn, shares = data.spread(values(point)), subtasks.frequency(point).to_numpy()
    for size, colour in colours.items():
        marks = data.at(drawn, size=size)
        there = np.isfinite(marks.mean)
        panel.errorbar(
            shares[there],
            marks.mean[there],
            yerr=marks.bars()[:, there],
            color=colour,
            ecolor=(*colour[:3], 0.5),
            marker="o",
            markersize=3.5,
            linewidth=1,
            elinewidth=0.8,
            label=f"{size}",
        )


def _final(point: xr.Dataset) -> xr.DataArray:
    return states.final(subtasks.accuracy(point))


def _step(point: xr.Dataset) -> xr.DataArray:
    """NaN where a student never learned the subtask; students that are missing do not count."""
    times = subtasks.first_learned(point)
    return times.where(~(times == np.inf).any(states.UNITS))


def _rows(point: xr.Dataset) -> xr.DataArray:
    return subtasks.own_rows(point, _step(point))


def _log_x(panel: Axes) -> None:
    """Ticks that have room where three panels stand side by side."""
    style.plain_log_x(panel)
    if panel.get_xscale() == "log":
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))


def _log_y(panel: Axes) -> None:
    low, high = panel.dataLim.intervaly
    if np.isfinite(low) and low > 0:
        style.plain_log_y(panel, low / 1.3, high * 1.3)
