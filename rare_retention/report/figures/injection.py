"""What injections write and what training between them erases (Figs. 4a, 16a, 20)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colour

Steps = NDArray[np.int64]

_MOST_TICKS = 80  # more would merge into a bar
_DENSE = 0.8  # of the measurements of the most densely measured cycle


@style.styled()
def injection(results: xr.Dataset) -> Figure:
    """The rare task's signal over the whole run and, below, around one injection, for each gap."""
    points = list(data.points(results))
    columns = min(len(points), 3)
    blocks = -(-len(points) // columns)
    figure, axes = style.canvas("Rare signal under injections", 2 * blocks * columns, columns, 2.3)
    colours = style.width_colours(results["width"])
    whole = [axes[2 * columns * (i // columns) + i % columns] for i in range(len(points))]
    zoom = [axes[2 * columns * (i // columns) + columns + i % columns] for i in range(len(points))]
    for panel in axes:
        if panel not in whole and panel not in zoom:
            panel.remove()
    for above, below, (name, point) in zip(whole, zoom, points, strict=True):
        _run(above, name or f"gap G = {_gap(point)}", point, colours)
        _cycle(below, point, colours)
    for row in (whole, zoom):
        for start in range(0, len(row), columns):
            style.same_y(row[start : start + columns])
    for above, below in list(zip(whole, zoom, strict=True))[::columns]:
        above.set_ylabel(r"rare signal $\tilde{s}_r$")
        below.set_ylabel(r"change of $\tilde{s}_r$")
    ticks = [Line2D([], [], color=style.GREY, marker="|", ls="none", ms=7, label="injection")]
    text = "line: mean; band: least to greatest; lower panels: one injection, from just before it"
    style.key(figure, [*whole, *zoom], colours, data.note(results, text), ticks)
    return figure


def _gap(point: xr.Dataset) -> int:
    return int(point["gap"])


def _rare_signal(point: xr.Dataset) -> xr.DataArray:
    signal = data.measured(point, "signal").sel(task=data.rarest(point))
    return data.normalised_signal(point, signal)


def _run(axes: Axes, name: str, point: xr.Dataset, colours: dict[int, Colour]) -> None:
    signal = _rare_signal(point)
    _lines(axes, signal["step"].to_numpy(), signal, colours)
    last, gap = int(point["step"].max()), _gap(point)
    injections = np.arange(gap, last + 1, gap)
    if len(injections) <= _MOST_TICKS:
        _ticks(axes, injections)
    else:
        name = f"{name} ({len(injections)} injections)"
    axes.set(title=name, xlabel="step")
    style.step_ticks(axes)


def _cycle(axes: Axes, point: xr.Dataset, colours: dict[int, Colour]) -> None:
    """The change since just before an injection; offset 1 is the state just after it."""
    signal, gap = _rare_signal(point), _gap(point)
    steps = cycle_steps(signal["step"].to_numpy(), gap)
    if not len(steps):
        axes.text(0.5, 0.5, "no cycle measured", transform=axes.transAxes, ha="center")
        return
    mine = signal.sel(step=steps)
    offset = steps - steps[0]
    _lines(axes, offset, mine - mine.isel(step=0), colours)
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    _ticks(axes, np.array([1]))
    axes.set_xscale("symlog", linthresh=1)
    powers = [0, *(10**n for n in range(len(str(gap))) if 10**n <= gap)]
    axes.set_xticks(powers, [f"{p}" for p in powers])
    axes.set_xticks([], minor=True)
    axes.set(xlabel=f"steps since {steps[0]} (log scale)", xlim=(0, gap * 1.1))


def cycle_steps(steps: Steps, gap: int) -> Steps:
    """Measured steps of one densely measured cycle, the latest: empty if there is none.

    Args:
        steps: measured steps, ascending.
        gap: G; exposure c is update (c + 1) G - 1, so the state before it is that step's.

    Returns:
        From the state just before an exposure to that just before the next, or the last measured.
    """
    before = [s for s in steps if (s + 1) % gap == 0 and s + 1 in steps]
    cycles = [steps[(steps >= s) & (steps <= s + gap)] for s in before]
    most = max(map(len, cycles), default=0)
    dense = [cycle for cycle in cycles if len(cycle) >= max(3, _DENSE * most)]
    return dense[-1] if dense else steps[:0]


def _lines(axes: Axes, x: Steps, values: xr.DataArray, colours: dict[int, Colour]) -> None:
    drawn = data.spread(values)
    for width, colour in colours.items():
        mean, low, high = (part.sel(width=width).to_numpy() for part in drawn)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, mean, color=colour, linewidth=1.2, label=f"{width}")


def _ticks(axes: Axes, x: Steps) -> None:
    """Light ticks along the lower edge."""
    axes.plot(
        x,
        np.full(len(x), 0.02),
        linestyle="none",
        marker="|",
        markersize=7,
        color=style.GREY,
        alpha=0.7,
        transform=axes.get_xaxis_transform(),
        label="injection",
    )
