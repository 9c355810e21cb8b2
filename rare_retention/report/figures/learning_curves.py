"""Injected tasks are learned in the order of their frequency (Fig. 6a)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rare_retention.evidence import states, text_tasks
from rare_retention.report.figures import data, style
from rare_retention.report.figures.language import GUESSING, blocks, canvas, loss_axes, title
from rare_retention.report.figures.style import Colour

_PROMPTS = (style.INK, style.GREEN, style.SKY)


@style.styled()
def learning_curves(results: xr.Dataset) -> Figure:
    """Loss of each injected task over training, a curve for each frequency, a panel a size."""
    found, names = blocks(results, "per_token"), data.names(results)
    prompts = _prompts(results)
    figure, groups = canvas(
        "Learning curves", len(found), len(names), "training tokens", "loss (nats)"
    )
    colours = style.frequency_colours(results["per_token"].to_numpy().ravel().tolist())
    for (name, point, task), panels in zip(found, groups, strict=True):
        for panel, (size, name_of_size) in zip(panels, names.items(), strict=True):
            here = point.sel(size=size)
            for _, at in data.points(here):
                _curve(panel, at, task, colours[float(at["per_token"])])
            if prompts:
                _references(panel, here)
            style.plain_log_x(panel)
            panel.set_title(title(name, name_of_size))
        loss_axes(panels, text_tasks.guessing(point, task))
    curves = [Line2D([], [], color=c, label=f"f = {rate:.3g}") for rate, c in colours.items()]
    text = "f: instances per training token; line: mean; band: least to greatest; training half"
    if prompts:
        text += "\nprompts: on natural text, mean over frequencies"
    style.legend(figure, [GUESSING, *curves, *prompts], data.note(results, text))
    return figure


def _curve(axes: Axes, point: xr.Dataset, task: str, colour: Colour) -> None:
    loss = states.common(point["loss"].sel(task=task))
    loss = loss.sel(step=loss["step"] > 0)  # the axis is logarithmic
    mean, low, high = data.at(data.spread(loss))
    tokens = loss["step"].to_numpy() * text_tasks.step_tokens(point)
    axes.fill_between(tokens, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(tokens, mean, color=colour, label=f"{float(point['per_token']):g}")


def _references(axes: Axes, point: xr.Dataset) -> None:
    """Means over the frequencies whose steps have equally many tokens."""
    each = point["step_tokens"]
    for per_step in np.unique(each.to_numpy()[each.notnull().to_numpy()]):
        loss = states.common(point["reference_loss"].where(each == per_step))
        loss = loss.sel(step=loss["step"] > 0)
        mean = loss.mean([d for d in loss.dims if d not in ("step", "prompt")])
        tokens = mean["step"].to_numpy() * per_step
        for prompt, colour in zip(mean["prompt"].to_numpy(), _PROMPTS, strict=False):
            values = mean.sel(prompt=prompt).to_numpy()
            axes.plot(tokens, values, color=colour, ls="--", linewidth=1.1, label=f"{prompt}")


def _prompts(results: xr.Dataset) -> list[Line2D]:
    """Entries of the legend for the reference prompts; none where none was measured."""
    if "reference_loss" not in results or results["reference_loss"].isnull().all():
        return []
    return [
        Line2D([], [], color=colour, linestyle="--", linewidth=1.1, label=f"prompt: {prompt}")
        for prompt, colour in zip(results["prompt"].to_numpy(), _PROMPTS, strict=False)
    ]
