"""What is retained at the end of training, over gap and width (Figs. 4b, 16b)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colour
from rare_retention.theory import utility


@style.styled()
def gap_width(results: xr.Dataset) -> Figure:
    """Final rare and frequent signal and |cos(G_r, G_F)| over the gap, a line for each width."""
    rows = list(data.points(results, keep=("gap",)))
    figure, axes = style.canvas("Retention by gap and width", 3 * len(rows), 3, 2.7, sharex=True)
    colours = style.width_colours(results["width"])
    rare = data.rarest(results)
    for row, (name, point) in enumerate(rows):
        panels = axes[3 * row : 3 * row + 3]
        signal = data.normalised_signal(point, data.at_end(point, "signal"))
        common = utility.common_set(data.mixture(point)[0])
        cosine = abs(data.at_end(point, "cosine")).sel(watch=rare)
        lines = {
            f"rare signal $\\tilde{{s}}_r$ (task {rare + 1})": signal.sel(task=rare),
            f"frequent signal (mean of {len(common)} tasks)": signal.isel(task=common).mean("task"),
            r"gradient cosine $|\cos(G_r, G_F)|$": cosine,
        }
        for panel, (title, values) in zip(panels, lines.items(), strict=True):
            _over_gap(panel, values, colours)
            panel.set_title(f"{title}\n{name}" if name else title)
        style.same_y(panels[:2])
        panels[2].set_ylim(bottom=0)
    style.label(axes, 3, "gap G (steps)", "")
    text = "point: mean at the end of training; bar: least to greatest"
    style.key(figure, axes, colours, data.note(results, text))
    return figure


def _over_gap(axes: Axes, values: xr.DataArray, colours: dict[int, Colour]) -> None:
    gaps = np.atleast_1d(values["gap"].to_numpy())
    drawn = data.spread(values)
    for width, colour in colours.items():
        mine = data.Spread(*(part.sel(width=width) for part in drawn))
        axes.errorbar(
            gaps,
            np.atleast_1d(mine.mean),
            yerr=data.bars(mine).reshape(2, -1),
            color=colour,
            marker="o",
            elinewidth=1,
            label=f"{width}",
        )
    axes.set(xscale="log", xlim=(gaps.min() / 1.25, gaps.max() * 1.25))
    style.grid_ticks(axes, gaps)
