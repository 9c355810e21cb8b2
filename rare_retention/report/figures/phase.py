"""The phase diagram: which tasks students of which width have learned (Figs. 2a, 13, 17)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from rare_retention.evidence import states
from rare_retention.report.figures import data, style
from rare_retention.theory import utility
from rare_retention.theory.checks import Array

_LEVELS = {1: style.VERMILLION, 2: style.ORANGE, 3: "#F0E442"}


@style.styled()
def phase_diagram(results: xr.Dataset) -> Figure:
    """Normalised final loss over task and width, under the staircases N*_k(m), m = 1, 2, 3."""
    points = data.mixtures(results)
    columns = min(len(points), 2)
    figure, panels = style.canvas("Learned tasks by width", len(points), columns, 3.4)
    meshes = [_panel(panel, name, p) for panel, (name, p) in zip(panels, points, strict=True)]
    style.label(panels, columns, "width N", "task k (1: most frequent)")
    over = max(float(_loss(point).max()) for _, point in points) > 1.01
    figure.colorbar(
        meshes[0],
        ax=panels,
        label="final loss $l_k$ / baseline",
        extend="max" if over else "neither",
        aspect=30,
    )
    directions = max(states.mixture(point)[1].shape[-1] for _, point in points)
    handles = [
        Line2D([], [], color=c, linestyle="--", path_effects=_outline(), label=f"$N^*_k({m})$")
        for m, c in _LEVELS.items()
        if m <= directions
    ]
    text = "colour: mean over students; staircases: widths from which task k has m features"
    style.legend(figure, handles, data.note(results, text))
    return figure


def _panel(axes: Axes, name: str, point: xr.Dataset) -> QuadMesh:
    loss = _loss(point)
    widths = point["width"].to_numpy().astype(np.float64)
    tasks = point.sizes["task"]
    edges = np.arange(tasks + 1) + 0.5
    mesh = axes.pcolormesh(
        _edges(widths), edges, loss.transpose("task", "size"), cmap="Blues_r", vmin=0, vmax=1
    )
    for level, colour in _LEVELS.items():
        stairs = utility.staircase(*states.mixture(point), level).astype(np.float64)
        stairs[stairs == 0] = np.nan  # no width is enough
        axes.stairs(
            stairs,
            edges,
            orientation="horizontal",
            baseline=None,
            color=colour,
            linestyle=(0, (4, 1.5)),
            linewidth=1.8,
            path_effects=_outline(),
            label=f"{level}",
        )
    axes.set(xscale="log", xlim=_edges(widths)[[0, -1]], ylim=(tasks + 0.5, 0.5), title=name)
    axes.set_facecolor(style.LIGHT)  # shows through where every student is missing
    axes.grid(False)
    style.grid_ticks(axes, widths)
    style.task_ticks(axes.yaxis, tasks)
    return mesh


def _loss(point: xr.Dataset) -> xr.DataArray:
    """Mean final loss over the baseline [size, task]."""
    return data.spread(states.final(point["loss"]) / data.baseline(point)).mean


def _edges(widths: Array) -> Array:
    """Borders of cells about the widths, halfway on the logarithmic axis."""
    if len(widths) == 1:
        return widths[0] * np.array([0.5**0.5, 2**0.5])
    inner = np.sqrt(widths[1:] * widths[:-1])
    return np.concatenate([[widths[0] ** 2 / inner[0]], inner, [widths[-1] ** 2 / inner[-1]]])


def _outline() -> list[Stroke | Normal]:
    return [Stroke(linewidth=3, foreground=style.INK), Normal()]
