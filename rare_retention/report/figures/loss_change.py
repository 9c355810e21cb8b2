"""What an exposure gains, what a gap leaves of what is held, and for how long (Fig. 8)."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import control, exposures, forgetting, retention, states
from rare_retention.evidence.retention import LEARNED
from rare_retention.report.figures import data, sizes, style
from rare_retention.report.figures.style import Colour, Colours

_VALUES = {"signal": "the signal", "share": "1 - loss / loss of guessing"}
_NOTE = (
    "lines: mean over cycles that last so long, solid those of the second half of training; band,\n"
    "bar: least to greatest; gain: in cycles before any size has learned {learned} of the task;\n"
    "retention factor: sum before the next exposure over that at the peak, above the control;\n"
    "half-life: of {value}, in cycles before it reaches {learned}, with its 95%\n"
    "interval; triangle: a lower bound, some are longer than the gap"
)


@style.styled()
def loss_change(results: xr.Dataset) -> Figure:
    """Change of the rare task's loss since just before an exposure; gain, factor and half-life."""
    points = list(data.points(results))
    figure, panels = style.canvas(
        "Loss between exposures", len(points) + 3, 2 if len(points) == 1 else 3
    )
    colours = style.size_colours(data.sizes(results))
    for panel, (name, point) in zip(panels, points, strict=False):
        _change(panel, point, colours)
        panel.set_title(name or data.rhythm(point))
    shades = list(style.frequency_colours(range(len(points))).values())
    pairs = [(point, _control(results, point)) for _, point in points]
    _summaries(panels[-3:], pairs, shades)
    for panel in panels[-3:]:
        sizes.name_sizes(panel, data.names(results))
    kinds = [
        Line2D([], [], color=style.GREY, label="second half"),
        Line2D([], [], color=style.GREY, linestyle="--", label="all cycles"),
    ]
    if len(points) > 1:
        kinds += [
            Line2D([], [], color=shade, marker="o", label=name)
            for (name, _), shade in zip(points, shades, strict=True)
        ]
    text = _NOTE.format(value=_VALUES[data.rare_kind(results)], learned=LEARNED)
    style.key(figure, panels, colours, data.note(results, text), kinds, names=data.names(results))
    return figure


def _change(axes: Axes, point: xr.Dataset, colours: Colours) -> None:
    loss = states.measured(point["loss"].sel(task=states.rarest(point), drop=True))
    each = retention.through_cycles(loss, exposures.of(point))
    if each is None:
        axes.text(0.5, 0.5, "no cycle measured", transform=axes.transAxes, ha="center")
        return
    change = each - each.sel(offset=0)
    late = change.where(change["start"] >= int(loss["step"][-1]) / 2)
    _lines(axes, change, colours, "--")
    _lines(axes, late, colours, "-")
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    style.steps_since(axes, int(each["offset"][-1]))
    axes.set(xlabel="steps since just before (log scale)", ylabel="change of the loss")


def _lines(axes: Axes, change: xr.DataArray, colours: Colours, line: str) -> None:
    drawn = data.spread(change.mean("cycle"))
    x = change["offset"].to_numpy()
    for size, colour in colours.items():
        mean, low, high = data.at(drawn, size=size)
        label = f"{size}" if line == "-" else f"{size}, all"
        axes.plot(x, mean, color=colour, linestyle=line, linewidth=1.2, label=label)
        if line == "-":
            axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def _control(results: xr.Dataset, point: xr.Dataset) -> xr.Dataset | None:
    """The control of a point of the grid, if it has one."""
    grid = states.grid(results)
    for shown, own in control.pairs(results):
        if all(shown[name].item() == point[name].item() for name in grid):
            return own
    return None


def _summaries(
    panels: Sequence[Axes],
    pairs: Sequence[tuple[xr.Dataset, xr.Dataset | None]],
    shades: Sequence[Colour],
) -> None:
    """Gain, retention factor and half-life by size, a line for each point of the grid."""
    gain, kept, life = panels
    for index, ((point, control_of), shade) in enumerate(zip(pairs, shades, strict=True)):
        found, level = retention.learned_cycles(point), retention.level_cycles(point)
        if found is None or level is None:
            continue
        line = (shade, f"{index}", index, len(pairs))
        rows = exposures.rows(point, level["exposure"])
        sizes.marks(gain, retention.gain_per_row(level, rows, retention.before_any(level)), *line)
        above = None if control_of is None else control.excess_cycles(point, control_of)
        if above is not None:
            sizes.marks(kept, control.retention_factor(above), *line)
        _half_lives(life, forgetting.of_cycles(found, retention.not_yet(found)), *line)
    if not kept.containers:
        kept.text(0.5, 0.5, "no control", transform=kept.transAxes, ha="center")
    gain.set_title("gain per exposed row")
    kept.set_title("retention factor")
    life.set_title("half-life (steps)")
    for panel in panels:
        panel.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)


def _half_lives(
    axes: Axes, lives: xr.Dataset, shade: Colour, label: str, index: int, count: int
) -> None:
    intervals = [
        forgetting.life_interval(lives.isel(size=i, drop=True)) for i in range(lives.sizes["size"])
    ]
    middle, low, high = (
        np.array([getattr(one, name) for one in intervals]) for name in ("estimate", "low", "high")
    )
    places, bound = sizes.places(len(middle), index, count), np.isinf(high)
    axes.plot(places, middle, color=shade, marker="o", linewidth=1.2, label=label)
    bars = np.stack([middle - low, np.where(bound, np.nan, high) - middle])
    axes.errorbar(places, middle, yerr=bars, fmt="none", color=shade)
    axes.plot(places[bound], middle[bound], linestyle="none", marker="^", markersize=8, color=shade)
