"""What models use: aligned directions (App. B.4) and MLP layers (Fig. 10)."""

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rare_retention.evidence import representation
from rare_retention.report.figures import by_size, data, style
from rare_retention.report.figures.language import title


@style.styled()
def alignment(results: xr.Dataset) -> Figure:
    """Draws the share of interchange interventions that succeed, by size.

    On pairs of instances that the subspace was not learned from, a panel for each task and point of
    the study's grid; beside it the same in a random subspace and with the whole stream replaced.

    Args:
        results: with evidence of kind `das`.
    """
    figure, panels = by_size.draw(
        results,
        "alignment",
        _alignment,
        "Aligned directions",
        "interventions that succeed",
        {"random subspace": "--", "all of the stream": ":"},
    )
    for panel in panels:
        panel.set_ylim(-0.03, 1.03)
    return figure


@style.styled()
def null_intervention(results: xr.Dataset) -> Figure:
    """Effect of leaving out each MLP layer, a line for each size, a panel for each task and place.

    At the last snapshot.
    """
    drawn = [
        (name, point, task)
        for task in representation.asked(results, "null_effect")
        for name, point in data.points(results)
        if task in point["task"]
    ]
    figure, panels = style.canvas("Null interventions", len(drawn))
    colours = style.size_colours(data.sizes(results))
    for panel, (name, point, task) in zip(panels, drawn, strict=True):
        found = data.spread(representation.at_end(point, "null_effect", task))
        layers = found.mean["layer"].to_numpy()
        for size, colour in colours.items():
            mine = data.at(found, size=size)
            panel.errorbar(
                layers,
                mine.mean,
                mine.bars(),
                color=colour,
                marker="o",
                elinewidth=1,
                label=f"{size}",
            )
        panel.set_title(title(task, name))
        panel.set(ylim=(0, None), xlim=(layers[0] - 0.3, layers[-1] + 0.3))
        panel.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    style.label(panels, 3, "MLP layer left out", "change of the labels'\nscores (logits)")
    text = data.note(results, "point: mean at the last snapshot; bar: least to greatest")
    style.key(figure, panels, colours, text, marker="o", names=data.names(results))
    return figure


def _alignment(point: xr.Dataset, task: str) -> tuple[xr.DataArray, ...]:
    names = ("alignment", "alignment_random", "alignment_whole")
    return tuple(representation.at_end(point, name, task) for name in names)
