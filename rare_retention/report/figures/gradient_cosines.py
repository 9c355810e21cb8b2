"""Where the gradients of batches point, seen from a rare task's own gradient (Fig. 9)."""

from collections.abc import Sequence

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import cosines
from rare_retention.report.figures import data, sizes, style
from rare_retention.report.figures.style import Colours

_AT = {
    "g": ("g: the batch", style.INK),
    "g_t": (r"$g_t$: the task's terms", style.VERMILLION),
    "g_nt": (r"$g_{nt}$: all others", style.BLUE),
}
_BETWEEN = {
    "cosine": _AT["g_nt"],
    "magnitude": (r"$g_{nt}$: size of the cosine", style.SKY),
}


@style.styled()
def gradient_cosines(results: xr.Dataset) -> Figure:
    """Cosines with the rare task's gradient: at exposures, between them, and over a cycle."""
    points = list(data.points(results))
    blocks = cosines.blocks(results)
    figure, panels = style.canvas("Cosines with the task's gradient", 6 * len(points), 3, 2.5)
    colours = style.size_colours(data.sizes(results))
    rows = [(name, point, block) for name, point in points for block in blocks]
    for i, (name, point, block) in enumerate(rows):
        own = panels[3 * i : 3 * i + 3]
        _row(own, point, block, colours)
        for panel in own[:2]:
            sizes.name_sizes(panel, data.names(results))
        words = "all weights" if block == cosines.ALL else block
        for panel, kind in zip(own, ("at exposures", "between", "over a cycle"), strict=True):
            panel.set_title(f"{words}: {kind}" + (f"\n{name}" if name else ""))
            panel.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
        own[0].set_ylabel(r"cosine with $g_r$")
    kinds = [
        Line2D([], [], color=colour, marker="o", label=label)
        for label, colour in dict.fromkeys((*_AT.values(), *_BETWEEN.values()))
    ]
    text = (
        "point: mean over batches; line: mean of g over cycles that last so long; bar, band:\n"
        "least to greatest; step 0 is the batch of the exposure"
    )
    style.key(figure, panels, colours, data.note(results, text), kinds, names=data.names(results))
    return figure


def _row(panels: Sequence[Axes], point: xr.Dataset, block: str, colours: Colours) -> None:
    found = cosines.cosines(point).sel(block=block, drop=True)
    cycle = cosines.through_cycles(point, found)
    shown, rest = cosines.at_exposures(found), cosines.between_exposures(found)
    for panel, kinds, values in ((panels[0], _AT, shown), (panels[1], _BETWEEN, rest)):
        if values.to_array().isnull().all():
            panel.text(0.5, 0.6, "none measured", transform=panel.transAxes, ha="center")
        for index, (name, (label, colour)) in enumerate(kinds.items()):
            sizes.marks(panel, values[name], colour, label, index, len(kinds))
    _cycle(panels[2], cycle, colours)


def _cycle(axes: Axes, cosine: xr.DataArray | None, colours: Colours) -> None:
    if cosine is None:
        axes.text(0.5, 0.6, "no cycle measured", transform=axes.transAxes, ha="center")
        return
    drawn, since = data.spread(cosine), cosine["since"].to_numpy()
    for size, colour in colours.items():
        mean, low, high = data.at(drawn, size=size)
        axes.fill_between(since, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(since, mean, color=colour, linewidth=1.2, label=f"{size}")
    style.steps_since(axes, int(since[-1]), -0.1)
    axes.set(xlabel="steps since the exposure")
