"""How every figure looks: one style, one colour for each width, files that never differ."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

Colour = tuple[float, float, float, float]

PAGE_WIDTH = 9.0  # inches; at 100 pixels an inch a figure is read at 900 pixels
PNG_DPI = 200

# Okabe and Ito's colours, which stay apart for colour-blind readers.
BLUE, SKY, GREEN, ORANGE, VERMILLION = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00"
INK, GREY, LIGHT = "#222222", "#707070", "#C4C4C4"

_STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "font.size": 10,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "svg.hashsalt": "rare_retention",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


@contextmanager
def styled() -> Iterator[None]:
    """Drawing in the project's style, whatever the user's own settings of Matplotlib are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def canvas(
    title: str,
    count: int,
    columns: int = 3,
    height: float = 2.7,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, filled row by row.

    Args:
        title: short; stands above all panels.
        count: number of panels, at least 1.
        columns: most panels in a row.
        height: inches of one row.
        sharex: panels have the same horizontal axis, and labels at the bottom only.
        sharey: panels have the same vertical axis, and labels on the left only.
    """
    across = min(count, columns)
    rows = -(-count // across)
    height = max(height, 3.6) if count == 1 else height
    figure = Figure(figsize=(PAGE_WIDTH, rows * height + 1.0), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left")
    axes = figure.subplots(rows, across, squeeze=False, sharex=sharex, sharey=sharey)
    for spare in axes.flat[count:]:
        spare.remove()
    for above in axes.flat[max(0, count - across) : count]:
        above.tick_params(labelbottom=True)  # where the row below has no panel
    return figure, list(axes.flat[:count])


def label(axes: Sequence[Axes], columns: int, x: str, y: str) -> None:
    """Names the axes of panels that share them: x below each column, y on the left."""
    columns = min(columns, len(axes))
    for index, panel in enumerate(axes):
        if index % columns == 0:
            panel.set_ylabel(y)
        if index + columns >= len(axes):
            panel.set_xlabel(x)


def width_colours(widths: ArrayLike) -> dict[int, Colour]:
    """A colour for each width of a study, from dark (narrow) to light (wide), the same in each figure.

    They run through viridis but for its palest end, which is lost on white.
    """
    ordered = np.unique(np.asarray(widths, np.int64))
    places = np.linspace(0.0, 0.88, len(ordered)) if len(ordered) > 1 else np.array([0.4])
    colours = matplotlib.colormaps["viridis"](places)
    return {
        int(width): (float(r), float(g), float(b), float(a))
        for width, (r, g, b, a) in zip(ordered, colours, strict=True)
    }


def width_handles(colours: dict[int, Colour], marker: str = "") -> list[Line2D]:
    """Entries of a legend for widths: lines, or bare markers."""
    line = "none" if marker else "-"
    return [
        Line2D([], [], color=colour, marker=marker, linestyle=line, label=f"N = {width}")
        for width, colour in colours.items()
    ]


def legend(figure: Figure, handles: Sequence[Artist], note: str) -> None:
    """The legend below all panels, under a line that says what a point and its spread are."""
    labels = [str(handle.get_label()) for handle in handles]
    room = 116  # characters of a line of the legend, each entry's sample counted as seven
    columns = max(1, min(len(handles), room // (7 + max(map(len, labels), default=0))))
    figure.legend(
        handles=list(handles),
        labels=labels,
        loc="outside lower left",
        ncols=columns,
        title=note,
        alignment="left",
        handlelength=1.8,
        columnspacing=1.4,
    )


def log_ticks(panel: Axes, values: ArrayLike, axis: str = "x") -> None:
    """Puts a logarithmic axis' ticks on the values of a grid, leaving out those that would collide.

    Args:
        panel: the axes.
        values: positive numbers.
        axis: "x" or "y".
    """
    ordered = np.unique(np.asarray(values, np.float64))
    span = max(np.log2(ordered[-1] / ordered[0]), 1.0)
    room = span / (9 if axis == "x" else 16)
    kept: list[float] = []
    for value in ordered[::-1]:  # from the top, so that the widest is always named
        if not kept or np.log2(kept[-1] / value) >= room:
            kept.append(float(value))
    chosen = panel.xaxis if axis == "x" else panel.yaxis
    chosen.set_ticks(kept, [f"{value:g}" for value in kept])
    chosen.set_ticks([], minor=True)


def png(figure: Figure) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    return _saved(figure, "png", {"Software": None})


def svg(figure: Figure) -> bytes:
    """The figure as SVG; equal figures give equal bytes."""
    return _saved(figure, "svg", {"Date": None, "Creator": None})


def _saved(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format=kind, dpi=PNG_DPI, metadata=metadata)
    return buffer.getvalue()
