"""Panels whose horizontal axis is the size of a student, each size at a place of its own."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from rare_retention.report.figures import data
from rare_retention.report.figures.style import Colour

_APART = 0.5  # of a place, that lines stand apart in all


def marks(
    axes: Axes,
    values: xr.DataArray,
    colour: Colour | str,
    label: str,
    index: int = 0,
    count: int = 1,
) -> None:
    """Means with their ranges over units, joined from size to size.

    Args:
        axes: where to draw.
        values: [size, stream, initialisation].
        colour: of the line.
        label: of the line.
        index: which of the lines of the panel this is; they stand side by side.
        count: of the lines of the panel.
    """
    drawn = data.spread(values)
    found = data.Marks(*(part.to_numpy() for part in drawn))
    axes.errorbar(
        places(len(found.mean), index, count),
        found.mean,
        yerr=found.bars(),
        color=colour,
        marker="o",
        linewidth=1.2,
        label=label,
    )


def places(sizes: int, index: int, count: int) -> np.ndarray:
    """Where the marks of one of several lines stand [sizes]."""
    return np.arange(sizes) + _APART * ((index + 0.5) / count - 0.5)


def name_sizes(axes: Axes, names: Mapping[int | str, str]) -> None:
    """Puts the names of the sizes, from small to large, below their places."""
    ordered = [name.removeprefix("N = ") for name in names.values()]
    every = -(-len(ordered) // 8)
    axes.set_xticks(range(0, len(ordered), every), ordered[::every])
    axes.set(xlim=(-0.5, len(ordered) - 0.5), xlabel="size")
