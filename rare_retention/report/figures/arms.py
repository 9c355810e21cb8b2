"""What each size ends with under schedules and counterfactuals, and what these give back."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rare_retention.evidence import arms as evidence
from rare_retention.evidence import intervals, states
from rare_retention.report.figures import data, sizes, style

_COLOURS = {
    "": style.BLUE,
    evidence.PROTECTED: style.GREEN,
    evidence.MORE: style.ORANGE,
    evidence.BOTH: style.VERMILLION,
    evidence.STILL: style.SKY,
}
_CLOSED = (evidence.PROTECTED, evidence.MORE, evidence.BOTH, evidence.STILL)
_LIMITS = (-0.25, 1.35)  # of shares
_APART = 0.6  # of a place, that marks of one size stand apart in all


@style.styled()
def arms(results: xr.Dataset) -> Figure:
    """What is held by size, every student a point; beside it the share of the lack given back.

    A row for each schedule of bursts at each grid point, as far as their runs have come.
    """
    rows = [
        (", ".join(part for part in (label, schedule) if part), point, schedule)
        for label, point in data.points(results, keep=(evidence.DIM,))
        for schedule in evidence.bursts(point)
        if evidence.has(point, evidence.EVEN, schedule)
    ]
    count = max(len(rows), 1)
    figure, panels = style.canvas("What bursts leave; what gives it back", 2 * count, 2, 2.6)
    for i, (title, point, schedule) in enumerate(rows):
        _levels(panels[2 * i], point, schedule)
        _shares(panels[2 * i + 1], point, schedule)
        panels[2 * i].set_title(title)
        panels[2 * i + 1].set_title("share of the lack given back")
        for panel in panels[2 * i : 2 * i + 2]:
            if panel.axison:
                _shade(panel, point)
                sizes.name_sizes(panel, data.names(results))
    style.legend(figure, _entries(results), _note(results))
    return figure


def _levels(panel: Axes, point: xr.Dataset, schedule: str) -> None:
    """What every student holds, and their means joined from size to size."""
    drawn = [(evidence.EVEN, style.GREY)]
    for what, colour in _COLOURS.items():
        name = evidence.named(schedule, what)
        if evidence.has(point, name):
            drawn.append((name, colour))
    for i, (name, colour) in enumerate(drawn):
        values = evidence.held(point, name).transpose("size", ...)
        places = sizes.places(values.sizes["size"], i, len(drawn))
        each = values.to_numpy().reshape(len(places), -1)
        panel.plot(
            places, each, color=colour, linestyle="none", marker=".", markersize=4, alpha=0.5
        )
        panel.plot(places, data.spread(values).mean, color=colour, linewidth=1.2)
    panel.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    panel.set_ylabel("held of the task")


def _shares(panel: Axes, point: xr.Dataset, schedule: str) -> None:
    """Shares with their 95% intervals, at the last step and, pale, at half of the steps."""
    shown = [what for what in _CLOSED if evidence.has(point, evidence.named(schedule, what))]
    if not shown:
        panel.set_axis_off()
        panel.text(0.5, 0.5, "no counterfactual", transform=panel.transAxes, ha="center")
        return
    marks = [(what, early) for what in shown for early in (True, False)]
    for i, (what, early) in enumerate(marks):
        share = evidence.closed(point, schedule, what, early)
        places = sizes.places(share.sizes["size"], i, len(marks))
        for place, own in zip(places, share.transpose("size", ...), strict=True):
            if own.notnull().any():
                _mark(panel, float(place), own, _COLOURS[what], early)
    panel.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    panel.axhline(1, color=style.GREY, linewidth=0.8, linestyle=":", zorder=1)
    panel.set_ylim(*_LIMITS)


def _mark(panel: Axes, place: float, share: xr.DataArray, colour: str, early: bool) -> None:
    """One share with its interval; arrows where it lies outside of the panel."""
    found = intervals.student_t(share)
    alpha = 0.4 if early else 1.0
    at = float(np.clip(found.estimate, _LIMITS[0] + 0.05, _LIMITS[1] - 0.05))
    marker = "o" if at == found.estimate else ("^" if at < found.estimate else "v")
    panel.plot([place], [at], color=colour, marker=marker, linestyle="none", alpha=alpha)
    if not np.isfinite(found.low):
        return
    panel.plot([place] * 2, [found.low, found.high], color=colour, linewidth=1, alpha=alpha)
    for beyond, edge, arrow in (
        (found.low < _LIMITS[0], _LIMITS[0] + 0.03, "v"),
        (found.high > _LIMITS[1], _LIMITS[1] - 0.03, "^"),
    ):
        if beyond:
            panel.plot([place], [edge], color=colour, marker=arrow, markersize=4, alpha=alpha)


def _shade(panel: Axes, point: xr.Dataset) -> None:
    """A grey ground behind the sizes that have no room for the task."""
    for i in np.flatnonzero(~evidence.room(point).to_numpy()):
        panel.axvspan(i - 0.5, i + 0.5, color=style.LIGHT, alpha=0.35, linewidth=0, zorder=0)


def _entries(results: xr.Dataset) -> list[Line2D | Patch]:
    names = {"": "bursts", **{what: f"bursts, {what}" for what in _CLOSED}}
    found: list[Line2D | Patch] = [Line2D([], [], color=style.GREY, marker="o", label="even")]
    there = {str(name).partition(", ")[2] for name in results[evidence.DIM].to_numpy()}
    found += [
        Line2D([], [], color=colour, marker="o", label=names[what])
        for what, colour in _COLOURS.items()
        if what in there
    ]
    if "spectrum" in results:
        found.append(Patch(color=style.LIGHT, alpha=0.35, label="no room (Theorem 3)"))
    return found


def _note(results: xr.Dataset) -> str:
    text = (
        "left: each point a student, line: mean; right: 95% interval, pale: at half of the steps; "
        "arrow: it\ngoes on; no mark where less than 0.05 is lacking beside the largest size"
    )
    units = [name for name in states.UNITS if results.sizes.get(name, 1) > 1]
    return data.note(results, text) if units else text
