"""What injections write and what training between them erases (Figs. 4a, 16a, 20)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import exposures, retention, states
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colours
from rare_retention.theory.checks import IntArray

_TITLES = {"signal": "Rare signal under injections", "share": "Task loss under injections"}
_MOST_COLUMNS = 3
_MOST_TICKS = 80  # more would merge into a bar


@style.styled()
def injection(results: xr.Dataset) -> Figure:
    """What is learned of the rare task over the whole run and, below, around one injection."""
    points, kind = list(data.points(results)), data.rare_kind(results)
    controls = data.controls(results)
    blocks = -(-len(points) // _MOST_COLUMNS)
    columns = -(-len(points) // blocks)
    figure, axes = style.canvas(_TITLES[kind], 2 * blocks * columns, columns, 2.3)
    colours = style.size_colours(data.sizes(results))
    whole = [axes[2 * columns * (i // columns) + i % columns] for i in range(len(points))]
    zoom = [axes[2 * columns * (i // columns) + columns + i % columns] for i in range(len(points))]
    for panel in axes:
        if panel not in whole and panel not in zoom:
            panel.remove()
    for above, below, (name, point) in zip(whole, zoom, points, strict=True):
        _run(above, name or data.rhythm(point), point, colours)
        if (own := controls.get(data.place(point))) is not None:
            _control(above, own, colours)
        _cycle(below, point, colours)
    for row, name in ((whole, data.RARE_VALUES[kind]), (zoom, "change")):
        for start in range(0, len(row), columns):
            if there := [panel for panel in row[start : start + columns] if panel.axison]:
                style.same_y(there)
                there[0].set_ylabel(name)
    ticks = [Line2D([], [], color=style.GREY, marker="|", ls="none", ms=7, label="injection")]
    text = "line: mean; band: least to greatest; lower panels: one injection, from just before it"
    if controls:
        text = f"{text}; dotted: mean of the control, without the task"
    style.key(
        figure, [*whole, *zoom], colours, data.note(results, text), ticks, names=data.names(results)
    )
    return figure


def _run(axes: Axes, name: str, point: xr.Dataset, colours: Colours) -> None:
    value = states.common(data.rare_value(point))
    _lines(axes, value["step"].to_numpy(), value, colours)
    after = exposures.of(point) + 1
    after = after.where(after <= int(value["step"][-1]))
    injections = np.unique(after.to_numpy()[after.notnull().to_numpy()])
    counts = after.notnull().sum("exposure").to_numpy()
    least, most = counts[counts > 0].min(initial=counts.max()), counts.max()
    # Streams that are exposed at steps of their own share no ticks.
    if len(injections) == most <= _MOST_TICKS:
        _ticks(axes, injections)
    else:
        number = f"{most}" if least == most else f"{least} to {most}"
        name = f"{name} ({number} injections)"
    axes.set(title=name, xlabel="step")
    style.step_ticks(axes)


def _control(axes: Axes, control: xr.Dataset, colours: Colours) -> None:
    """The same students on the same streams without the task."""
    value = states.common(data.rare_value(control))
    drawn, steps = data.spread(value), value["step"].to_numpy()
    for size, colour in colours.items():
        axes.plot(steps, data.at(drawn, size=size)[0], color=colour, linewidth=1, linestyle=":")


def _cycle(axes: Axes, point: xr.Dataset, colours: Colours) -> None:
    """The change since just before an injection; offset 1 is the state just after it.

    The second densely measured one of each stream: the first starts from untrained decoders, and in
    late ones a wide student has little left to gain.
    """
    found = retention.through_cycles(data.rare_value(point), exposures.of(point), nth=1)
    if found is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no cycle measured", transform=axes.transAxes, ha="center")
        return
    mine = found.isel(cycle=0)
    offset, starts = mine["offset"].to_numpy(), np.unique(mine["start"].dropna("stream"))
    _lines(axes, offset, mine - mine.isel(offset=0), colours)
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    _ticks(axes, np.array([1]))
    style.steps_since(axes, offset[-1])
    since = f"{starts[0]:.0f}" if len(starts) == 1 else "just before"
    axes.set(xlabel=f"steps since {since} (log scale)")


def _lines(axes: Axes, x: IntArray, values: xr.DataArray, colours: Colours) -> None:
    drawn = data.spread(values)
    for size, colour in colours.items():
        mean, low, high = data.at(drawn, size=size)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, mean, color=colour, linewidth=1.2, label=f"{size}")


def _ticks(axes: Axes, x: IntArray) -> None:
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
