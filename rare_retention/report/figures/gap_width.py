"""What is retained at the end of training, over gap and width (Figs. 4b, 16b)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rare_retention.evidence import common_gradient, exposures, states
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colours

_TITLES = {
    "rare": r"rare signal $\tilde{s}_r$",
    "frequent": r"most frequent signal $\tilde{s}_1$",
    "cosine": r"gradient cosine $|\cos(G_r, G_F)|$",
}


@style.styled()
def gap_width(results: xr.Dataset) -> Figure:
    """Rare and most frequent signal, and |cos(G_r, G_F)|, over the gap, a line for each width."""
    rows = list(data.points(results, keep=("gap",)))
    figure, axes = style.canvas("Retention by gap and width", 3 * len(rows), 3, 2.7, sharex=True)
    colours = style.size_colours(data.sizes(results))
    for row, (name, point) in enumerate(rows):
        panels = axes[3 * row : 3 * row + 3]
        values = by_gap(point)
        for panel, (key, title) in zip(panels, _TITLES.items(), strict=True):
            _panel(panel, values[key], colours)
            panel.set_title(f"{title}\n{name}" if name else title)
        style.same_y(panels[:2])
        panels[2].set_ylim(bottom=0)
    style.label(axes, 3, "gap G (steps)", "")
    text = (
        "point: mean; bar: least to greatest; signals just before the last measured injection, "
        "cosine\nover the last quarter of the run"
    )
    style.key(figure, axes, colours, data.note(results, text))
    return figure


def by_gap(results: xr.Dataset) -> xr.Dataset:
    """Late values of each gap: `rare`, `frequent` and `cosine` [gap, stream, size, ...].

    Signals are taken just before the last measured injection, where students of different gaps
    stand at the same phase of their cycles, and at the end of runs without injections.
    """
    found = {}
    for _, point in data.points(results):
        gap, rare = int(point["gap"]), states.rarest(point)
        signal = exposures.before_last(point["signal"], exposures.of(point))
        if signal is None:
            signal = states.final(point["signal"])
        signal = data.normalised_signal(point, signal)
        parts = {
            "rare": signal.sel(task=rare),
            "frequent": signal.isel(task=0),
            "cosine": common_gradient.late_cosine(point["cosine"].sel(watch=rare)),
        }
        found[gap] = xr.Dataset({k: v.reset_coords(drop=True) for k, v in parts.items()})
    return xr.concat(found.values(), xr.DataArray(list(found), dims="gap", name="gap"))


def _panel(axes: Axes, values: xr.DataArray, colours: Colours) -> None:
    gaps = values["gap"].to_numpy()
    drawn = data.spread(values)
    for size, colour in colours.items():
        mine = data.at(drawn, size=size)
        axes.errorbar(
            gaps,
            mine.mean,
            yerr=mine.bars(),
            color=colour,
            marker="o",
            elinewidth=1,
            label=f"{size}",
        )
    axes.set(xscale="log", xlim=(np.min(gaps) / 1.25, np.max(gaps) * 1.25))
    style.grid_ticks(axes, gaps)
