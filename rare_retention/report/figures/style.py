"""How every figure looks: one style, one colour for each size, files that never differ."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

Line = Literal["-", "--", ":", "none"]
Colour = tuple[float, float, float, float]
Colours = dict[int | str, Colour]
"""A colour for each size of a study, by its place in the index `size`."""

PAGE_WIDTH = 9.0  # inches; at 100 pixels an inch a figure is read at 900 pixels
PNG_DPI = 200

_MOST_ENTRIES = 8  # sizes in a legend; more stand on a colour bar
_ROOM = 130  # characters of a line of the legend

# Okabe and Ito's colours, which stay apart for colour-blind readers.
BLUE, SKY, GREEN, ORANGE, VERMILLION = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00"
INK, GREY, LIGHT = "#222222", "#707070", "#C4C4C4"

_STYLE: dict[Any, object] = {
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


def _short(value: float, _: int | None = None) -> str:
    """A number of few characters, such as 0.05, 2500, 10k, 1M or 2B."""
    if abs(value) >= 1e9:
        return f"{value / 1e9:g}B"
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"


_SHORT = FuncFormatter(_short)


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


def size_colours(sizes: Iterable[int | str]) -> Colours:
    """A colour for each size of a study, dark for small, light for large, in every figure.

    They run through viridis but for its palest end, which is lost on white.

    Args:
        sizes: as the index of the results has them, from small to large.
    """
    ordered = list(sizes)
    return dict(zip(ordered, _shades("viridis", len(ordered)), strict=True))


def frequency_colours(rates: Sequence[float]) -> dict[float, Colour]:
    """A colour for each frequency of a task, dark for rare, light for frequent (plasma)."""
    ordered = sorted(set(rates))
    return dict(zip(ordered, _shades("plasma", len(ordered)), strict=True))


def _shades(name: str, count: int) -> list[Colour]:
    places = np.linspace(0.0, 0.86, count) if count > 1 else np.array([0.4])
    shades = matplotlib.colormaps[name](places)
    return [(float(r), float(g), float(b), float(a)) for r, g, b, a in shades]


def key(
    figure: Figure,
    panels: Sequence[Axes],
    colours: Colours,
    note: str,
    kinds: Sequence[Artist] = (),
    marker: str = "",
    names: Mapping[Any, str] | None = None,
) -> None:
    """Says which colour is which size: in the legend or, if there are many, on a colour bar.

    Args:
        figure: a figure.
        panels: all its panels.
        colours: of the sizes shown.
        note: the line above the legend; see `legend`.
        kinds: entries of the legend that stand before the sizes.
        marker: how a size is drawn in the legend; a line if empty.
        names: of the sizes, as from `data.names`; N = size if None.
    """
    named = names or {size: f"N = {size}" for size in colours}
    if len(colours) <= _MOST_ENTRIES:
        line: Line = "none" if marker else "-"
        sizes = [
            Line2D([], [], color=colour, marker=marker, linestyle=line, label=named[size])
            for size, colour in colours.items()
        ]
        return legend(figure, [*kinds, *sizes], note)
    norm = BoundaryNorm(list(np.arange(len(colours) + 1) - 0.5), len(colours))
    shades = ScalarMappable(norm, ListedColormap(list(colours.values())))
    bar = figure.colorbar(shades, ax=list(panels), aspect=35, label="size" if names else "width N")
    ticks = [named[size].removeprefix("N = ") for size in colours]
    bar.set_ticks(list(range(len(colours))), labels=ticks)
    bar.minorticks_off()
    legend(figure, kinds, note)


def legend(figure: Figure, handles: Sequence[Artist], note: str) -> None:
    """The legend below all panels, under a line that says what a point and its spread are."""
    handles = list(handles) or [Line2D([], [], linestyle="none", label=" ")]  # for the note's sake
    labels = [str(handle.get_label()) for handle in handles]
    figure.legend(
        handles=handles,
        labels=labels,
        loc="outside lower left",
        ncols=_columns(labels),
        title=note,
        alignment="left",
        handlelength=1.8,
        columnspacing=1.4,
    )


def _columns(labels: Sequence[str]) -> int:
    """The most columns of a legend that fit side by side."""
    # A mathematical symbol takes about one character; the sample before each label takes seven.
    signs = [7 + len(re.sub(r"\\[a-z]+|[\\${}^_]", "", label)) for label in labels]
    for columns in range(len(signs), 1, -1):
        if sum(max(part) for part in np.array_split(signs, columns)) <= _ROOM:
            return columns
    return 1


def grid_ticks(panel: Axes, values: ArrayLike) -> None:
    """Puts a logarithmic x axis' ticks on a grid's values, but for those that would collide."""
    ordered = np.unique(np.asarray(values, np.float64))
    room = max(np.log2(ordered[-1] / ordered[0]), 1.0) / 9
    kept: list[float] = []
    for value in ordered[::-1]:  # from the top, so that the largest is always named
        if not kept or np.log2(kept[-1] / value) >= room:
            kept.append(float(value))
    names = [min(f"{value:g}", f"{value:.3g}", key=len) for value in kept]
    panel.set_xticks(kept[::-1], names[::-1])
    panel.set_xticks([], minor=True)


def step_ticks(panel: Axes) -> None:
    """A few ticks on a linear axis of training steps, in short numbers."""
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.xaxis.set_major_formatter(_SHORT)


def steps_since(panel: Axes, last: int, first: float = 0.0) -> None:
    """An axis of steps since an exposure, from `first` to `last`, logarithmic from 1 on."""
    panel.set_xscale("symlog", linthresh=1)
    powers = [0, *(10**n for n in range(len(str(last))))]
    panel.set_xticks(powers, [f"{power}" for power in powers])
    panel.set_xticks([], minor=True)
    panel.set_xlim(first, last * 1.1)


def plain_log_x(panel: Axes) -> None:
    """A logarithmic x axis in short numbers that has a few of them however short it is."""
    if not np.isfinite(panel.dataLim.minposx):  # every student is missing
        return
    panel.set_xscale("log")
    _plain_log(panel.xaxis, panel.dataLim.x1 / panel.dataLim.minposx)


def plain_log_y(panel: Axes, low: float, high: float) -> None:
    """A logarithmic y axis between two values, as `plain_log_x`."""
    panel.set(yscale="log", ylim=(low, high))
    _plain_log(panel.yaxis, high / low)


def _plain_log(axis: Axis, span: float) -> None:
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span < 300 else (1.0,)))
    axis.set_major_formatter(_SHORT)
    axis.set_minor_formatter(NullFormatter())


def task_ticks(axis: Axis, tasks: int) -> None:
    """Ticks at the first task and at multiples of a whole number."""
    step = -(-tasks // 8)
    axis.set_ticks([1, *range(step if step > 1 else 2, tasks + 1, step)])


def same_y(panels: Sequence[Axes]) -> None:
    """Gives panels side by side one vertical scale, with its numbers on the first."""
    ends = np.concatenate([panel.dataLim.intervaly for panel in panels])
    ends = ends[np.isfinite(ends)]
    room = 0.05 * float(np.ptp(ends)) if len(ends) else 0.0
    for panel in panels:
        if room > 0:
            panel.set_ylim(ends.min() - room, ends.max() + room)
        panel.tick_params(labelleft=panel is panels[0])


def diagonal(panel: Axes) -> None:
    """Draws y = x without widening the axes."""
    limits = panel.get_xlim(), panel.get_ylim()
    ends = max(lower for lower, _ in limits), min(upper for _, upper in limits)
    panel.plot(ends, ends, color=INK, linewidth=0.9, label="y = x")
    panel.set(xlim=limits[0], ylim=limits[1])


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
