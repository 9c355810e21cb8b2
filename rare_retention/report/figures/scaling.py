"""The scaling law of the loss: what was measured, the frontier and both limits (Sec. 2, Fig. 1)."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.errors import UserError
from rare_retention.evidence import scaling_fit, scaling_points
from rare_retention.evidence.scaling_fit import Fit
from rare_retention.evidence.scaling_points import Points
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colours
from rare_retention.theory.checks import Array
from rare_retention.theory.scaling import ScalingLaw, compute

_BEYOND = 2.0  # how far past the points a law is drawn, as a factor of tokens and sizes
_PLACES = 60
_MARKS = (
    Line2D([], [], color=style.GREY, label="fitted law"),
    Line2D([], [], color=style.INK, linestyle="--", label="optimal frontier"),
    Line2D([], [], color=style.BLUE, marker="s", label=r"infinite data $L_\infty(N)$"),
    Line2D([], [], color=style.VERMILLION, marker="s", label="compute-optimal $L_C(N)$"),
    Line2D([], [], color=style.INK, marker="o", mfc="white", ls="none", label="lowest measured"),
)


class Row(NamedTuple):
    """What a row of two panels shows.

    Attributes:
        title: of the row.
        points: measured losses.
        fitted: their law; None where they do not determine one.
    """

    title: str
    points: Points
    fitted: Fit | None


def scaling_law(results: xr.Dataset) -> Figure:
    """The law of the first task, a row for each point of the grid but for lengths of runs."""
    rows = [
        row(scaling_points.read_point(point)[0], place)
        for place, point in data.points(results, (scaling_points.LENGTHS,))
    ]
    text = "point: mean of equal runs; bars: least to greatest; bands: 95%"
    return draw(rows, data.names_by_parameters(results), data.note(results, text))


def row(points: Points, title: str = "") -> Row:
    """One row of the figure: a task's losses, and the scaling law that is fitted to them.

    Where the points do not determine a law the row has none, and its title says so.

    Args:
        points: losses of one task at several sizes and numbers of tokens.
        title: of the row; the points' own name if empty.
    """
    title = title or points.name
    try:
        return Row(title, points, scaling_fit.fit(points))
    except UserError:
        return Row(f"{title} (no law fitted)", points, None)


@style.styled()
def draw(rows: Sequence[Row], names: Mapping[int, str], note: str) -> Figure:
    """Loss against compute beside the limits of each size, a row for each law.

    Args:
        rows: at least one.
        names: number of parameters of each size -> what it is called.
        note: the line above the legend.
    """
    figure, panels = style.canvas("Scaling law", 2 * len(rows), 2, 3.2)
    colours = style.size_colours(sorted(names))
    for one, left, right in zip(rows, panels[::2], panels[1::2], strict=True):
        _against_compute(left, one, colours)
        _limits(right, one)
        left.set(title=one.title, ylabel="loss (nats)", xlabel="compute $6 N D$ (FLOPs)")
        right.set(title="limits of each size", xlabel="size $N$ (parameters)")
    style.key(figure, panels, colours, note, _MARKS, "o", names)
    return figure


def _against_compute(axes: Axes, shown: Row, colours: Colours) -> None:
    points = shown.points
    for size in np.unique(points.parameters):
        colour = colours[int(size)]
        tokens, (mean, low, high) = _means(points, size)
        axes.errorbar(
            compute(size, tokens),
            mean,
            yerr=[mean - low, high - mean],
            fmt="o",
            color=colour,
            elinewidth=1,
            label=f"{size:g}",
        )
        if shown.fitted is not None:
            drawn = _span(points.tokens)
            axes.plot(compute(size, drawn), shown.fitted.law.loss(size, drawn), color=colour)
    if shown.fitted is not None:
        law, flops = shown.fitted.law, _span(compute(points.parameters, points.tokens))
        axes.plot(flops, law.loss(*law.frontier(flops)), color=style.INK, ls="--", label="frontier")
    _log_x(axes)


def _limits(axes: Axes, shown: Row) -> None:
    sizes = np.unique(shown.points.parameters)
    lowest = [_means(shown.points, size)[1][0].min() for size in sizes]
    if shown.fitted is not None:
        _limit(axes, shown.fitted, ScalingLaw.infinite_data_loss, style.BLUE)
        _limit(axes, shown.fitted, ScalingLaw.compute_optimal_loss, style.VERMILLION)
    axes.plot(sizes, lowest, "o", color=style.INK, mfc="white", label="lowest measured")
    _log_x(axes)


def _limit(
    axes: Axes, fitted: Fit, limit: Callable[[ScalingLaw, Array], Array], colour: str
) -> None:
    sizes = np.unique(fitted.points.parameters)
    drawn = _span(sizes)
    band = fitted.interval(lambda law: limit(law, drawn))
    axes.fill_between(drawn, band.low, band.high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(drawn, band.estimate, color=colour, label=limit.__name__)
    axes.plot(sizes, limit(fitted.law, sizes), "s", color=colour, markersize=4)


def _means(points: Points, size: float) -> tuple[Array, tuple[Array, Array, Array]]:
    """Token counts of a size; mean, least and greatest loss at each."""
    own = points.parameters == size
    tokens, loss = points.tokens[own], points.loss[own]
    counts = np.unique(tokens)
    runs = [loss[tokens == count] for count in counts]
    mean, low, high = (np.array([of(r) for r in runs]) for of in (np.mean, np.min, np.max))
    return counts, (mean, low, high)


def _span(values: Array) -> Array:
    return np.geomspace(values.min() / _BEYOND, values.max() * _BEYOND, _PLACES)


def _log_x(axes: Axes) -> None:
    if axes.has_data() and np.isfinite(axes.dataLim.minposx):
        axes.set_xscale("log")
