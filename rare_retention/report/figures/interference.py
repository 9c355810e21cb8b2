"""First-order interference with the rare task, and Theorem 4's bound on the common gradient."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import common_gradient as evidence
from rare_retention.evidence import states
from rare_retention.report.figures import data, style
from rare_retention.report.figures.style import Colours


@style.styled()
def interference(results: xr.Dataset) -> Figure:
    """Predicted and measured change of the rare loss, and |G_F(U)| against its bound."""
    points = list(data.points(results))
    figure, panels = style.canvas("Interference with the rare task", 2 + len(points), 3, 2.9)
    colours = style.size_colours(data.sizes(results))
    _changes(panels[0], [point for _, point in points], colours)
    _bound(panels[1], [point for _, point in points], colours)
    for panel, (name, point) in zip(panels[2:], points, strict=True):
        _cumulative(panel, name, point, colours)
    kinds = [
        Line2D([], [], color=style.GREY, label="measured"),
        Line2D([], [], color=style.GREY, linestyle="--", label="predicted"),
    ]
    text = (
        "dots: one student, between two measurements (left) or at one (Theorem 4);\n"
        "lines: mean; bands: least to greatest"
    )
    style.key(figure, panels, colours, data.note(results, text), kinds)
    return figure


def changes(point: xr.Dataset) -> xr.Dataset:
    """`measured` and `predicted` change of the rare loss since the step measured before."""
    rare = {"watch": states.rarest(point)}
    reference, predicted = (point[n].sel(rare) for n in ("reference", "predicted_change"))
    return evidence.changes(reference, predicted.astype(np.float64))


def _changes(axes: Axes, points: list[xr.Dataset], colours: Colours) -> None:
    pairs = [changes(point) for point in points]
    sizes = np.concatenate([np.abs(pair.to_array().to_numpy()).ravel() for pair in pairs])
    largest = float(np.max(sizes, initial=0, where=np.isfinite(sizes))) or 1.0
    power = 10.0 ** np.floor(np.log10(largest))
    for pair in pairs:
        _dots(axes, pair["predicted"], pair["measured"], colours)
    # Both signs and two powers of ten; what is smaller still lies on a linear scale about 0.
    axes.set_xscale("symlog", linthresh=power / 10)
    axes.set_yscale("symlog", linthresh=power / 10)
    style.diagonal(axes)
    ticks = [-power, -power / 10, 0, power / 10, power]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set(title="change of the rare loss", xlabel="first-order prediction", ylabel="measured")


def _bound(axes: Axes, points: list[xr.Dataset], colours: Colours) -> None:
    for point in points:
        bound, gradient = point["basis_bound"], point["basis_gradient"]
        _dots(axes, states.common(bound), states.common(gradient), colours)
    axes.set(
        title="common gradient (Theorem 4)",
        xlabel=r"bound $2\sqrt{\lambda_1(M_F)\,\delta_F(U)}$",
        ylabel=r"$|G_F(U)|$",
    )
    if np.all(np.isfinite(axes.dataLim.minpos)):  # not so if every student is missing
        axes.set(xscale="log", yscale="log")
    style.diagonal(axes)


def _dots(axes: Axes, x: xr.DataArray, y: xr.DataArray, colours: Colours) -> None:
    for size, colour in colours.items():
        order = ("stream", "initialisation", "step")
        axes.plot(
            x.sel(size=size).transpose(*order).to_numpy().ravel(),
            y.sel(size=size).transpose(*order).to_numpy().ravel(),
            linestyle="none",
            marker="o",
            markersize=2.5,
            markeredgewidth=0,
            color=colour,
            alpha=0.5,
            rasterized=True,  # thousands of them
            label=f"{size}",
        )


def _cumulative(axes: Axes, name: str, point: xr.Dataset, colours: Colours) -> None:
    found = changes(point)
    steps = states.common(point["reference"])["step"].to_numpy()
    for kind, line in (("predicted", "--"), ("measured", "-")):
        total = found[kind].cumsum("step", skipna=False)
        drawn = data.spread(total.pad(step=(1, 0), constant_values=0.0))
        for size, colour in colours.items():
            mean, low, high = data.at(drawn, size=size)
            axes.plot(steps, mean, color=colour, linestyle=line, label=f"{size}")
            if line == "-":
                axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
    title = "since the start"
    axes.set(
        title=f"{title}, {name}" if name else title, xlabel="step", ylabel="change of the rare loss"
    )
    style.step_ticks(axes)
