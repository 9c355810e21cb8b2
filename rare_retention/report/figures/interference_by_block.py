"""What the updates between exposures do to a rare task, by block of weights and size."""

from typing import NamedTuple

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import block_effects as evidence
from rare_retention.evidence import control, exposures
from rare_retention.report.figures import data, sizes, style
from rare_retention.report.figures.style import Colours

_ROW = 0.22  # inches of a block
_TITLES = {"first": "first order", "second": "second order"}


class _Drawn(NamedTuple):
    """Changes of one grid point, and of its sham where the study has one."""

    name: str
    real: xr.Dataset
    sham: xr.Dataset | None


@style.styled()
def interference_by_block(results: xr.Dataset) -> Figure:
    """Both orders by block, and their sums beside the measured change, a row for each point."""
    rows = _rows(results)
    blocks = _blocks(rows)
    height = max(2.9, 1.0 + _ROW * len(blocks))
    figure, panels = style.canvas("Updates between exposures", 3 * len(rows), 3, height)
    colours = style.size_colours(data.sizes(results))
    for i, row in enumerate(rows):
        first, second, whole = panels[3 * i : 3 * i + 3]
        _by_block(first, "first", row, blocks, colours)
        _by_block(second, "second", row, blocks, colours)
        second.tick_params(labelleft=False)
        _sums(whole, row, data.names(results))
    kinds = [
        _key("o", "the task", filled=True),
        _key("o", "the task, never shown", filled=False),
        *(Line2D([], [], color=colour, marker="o", label=label) for label, colour in _SUMS.items()),
    ]
    text = "point: mean over students; bar: least to greatest; above 0 the task's loss rises"
    style.key(figure, panels, colours, data.note(results, text), kinds, "o", data.names(results))
    return figure


_SUMS = {"measured": style.INK, "first": style.SKY, "first + second": style.VERMILLION}
"""Colour of each change of the loss by all weights."""


def _rows(results: xr.Dataset) -> list[_Drawn]:
    shams = {_place(point): sham for point, sham in control.pairs(results)}
    found = []
    # A point of which no run has begun has no exposures either, as if it were a control.
    points = list(data.points(results))
    for name, point in points:
        sham = shams.get(_place(point))
        null = None if sham is None else evidence.over_gaps(sham, exposures.of(point))
        found.append(_Drawn(name, evidence.over_gaps(point), null))
    return found


def _place(point: xr.Dataset) -> tuple[object, ...]:
    return tuple(value.item() for _, value in sorted(point.coords.items()) if not value.dims)


def _blocks(rows: list[_Drawn]) -> list[str]:
    """Blocks that some size has; the last is that of all weights."""
    names = [str(name) for name in rows[0].real["block"].to_numpy()]
    there = [
        name
        for name in names
        if any(bool(row.real["first"].sel(block=name).notnull().any()) for row in rows)
    ]
    return there or names


def _by_block(axes: Axes, order: str, row: _Drawn, blocks: list[str], colours: Colours) -> None:
    for values, filled in ((row.real, True), (row.sham, False)):
        if values is None:
            continue
        drawn = data.spread(values[order].sel(block=blocks))
        for i, (size, colour) in enumerate(colours.items()):
            found = data.at(drawn, size=size)
            axes.errorbar(
                found.mean,
                sizes.places(len(blocks), i, len(colours)),
                xerr=found.bars(),
                color=colour,
                linestyle="none",
                marker="o",
                markersize=4,
                markerfacecolor=colour if filled else "white",
                elinewidth=1.0,
                label=f"{size}" if filled else f"{size}, never shown",
            )
    axes.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    names = ["all weights" if name == evidence.WHOLE else name for name in blocks]
    axes.set_yticks(range(len(blocks)), names)
    axes.set(ylim=(len(blocks) - 0.5, -0.5), xlabel="change of the rare loss")
    axes.set_title(_TITLES[order] + (f"\n{row.name}" if row.name else ""))


def _sums(axes: Axes, row: _Drawn, names: dict[int | str, str]) -> None:
    whole = row.real.sel(block=evidence.WHOLE, drop=True)
    values = (whole["measured"], whole["first"], whole["first"] + whole["second"])
    for i, ((label, colour), change) in enumerate(zip(_SUMS.items(), values, strict=True)):
        sizes.marks(axes, change, colour, label, i, len(_SUMS))
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    sizes.name_sizes(axes, names)
    axes.set_title("all weights" + (f"\n{row.name}" if row.name else ""))


def _key(marker: str, label: str, filled: bool) -> Line2D:
    face = style.GREY if filled else "white"
    return Line2D(
        [], [], color=style.GREY, marker=marker, linestyle="none", markerfacecolor=face, label=label
    )
