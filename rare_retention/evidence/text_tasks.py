"""How language models learn tasks that are injected into natural text (Figs. 5, 6, 22, 23).

The task "text" is natural text; every other task is injected, and its loss is that of guessing
among its labels until something is learned. A value of the grid's dimension `per_token` is the
instances of an injected task per training token. Functions of a point take one point of a study's
grid, as from `states.points`.
"""

import math
from typing import Literal

import numpy as np
import xarray as xr

from rare_retention.evidence import states
from rare_retention.theory.checks import Array

TEXT = "text"
"""Name of the task that is natural text."""

LEARNED = 0.5
"""A task counts as learned where less than this share of the loss of guessing is left."""

FLOPS_PER_TOKEN = 6
"""Of a training step for each parameter and token (Fig. 23)."""


def injected(results: xr.Dataset) -> list[str]:
    """Names of the injected tasks, but for those that are never shown."""
    found = [task for task in results["task"].to_numpy().tolist() if task != TEXT]
    if "is_left_out" not in results:
        return found
    out = results["is_left_out"]
    never = (out != 0).all([d for d in out.dims if d != "task"])
    return [task for task in found if not never.sel(task=task)]


def guessing(point: xr.Dataset, task: str) -> float:
    """Loss in nats of guessing among the labels of an injected task.

    The same all over the grid; NaN where no run of a point has begun.
    """
    return -math.log(float(point["chance"].sel(task=task).max()))


def left(point: xr.Dataset, task: str, half: Literal["", "test_"] = "") -> xr.DataArray:
    """Share of the loss of guessing that a task's has left, at most 1, at the common steps.

    At most 1, because a student that does not know the labels yet is no further from the task than
    one that guesses among them.

    Args:
        point: of a study's grid.
        task: its name.
        half: of the task's instances, the training half by default.
    """
    return share_left(point, task, states.common(point[f"{half}loss"]))


def share_left(point: xr.Dataset, task: str, loss: xr.DataArray) -> xr.DataArray:
    """`left` of losses of the point's tasks at any steps."""
    loss = loss.sel(task=task, drop=True)
    share: xr.DataArray = (loss / guessing(point, task)).clip(max=1)
    return share


def text_loss(point: xr.Dataset) -> xr.DataArray:
    """Loss of natural text in nats per token at the common steps."""
    return states.common(point["loss"]).sel(task=TEXT, drop=True)


def step_tokens(point: xr.Dataset) -> float:
    """Training tokens of one step at a grid point."""
    return float(point["step_tokens"])


def compute(values: xr.DataArray, tokens: float) -> xr.DataArray:
    """Training compute 6 N tokens in FLOPs at each state of some values [size, step] (Fig. 23).

    Args:
        values: with the dimensions `size`, that has the coordinate `parameters`, and `step`.
        tokens: of one step.
    """
    parameters = values["parameters"].astype(np.float64)
    return FLOPS_PER_TOKEN * tokens * parameters * values["step"].astype(np.float64)


def first_reach(values: xr.DataArray, level: xr.DataArray | float) -> xr.DataArray:
    """Step at which values first are as low as a level, linear between measured states.

    Args:
        values: with a dimension `step`.
        level: to be reached; its own dimensions are added to the result.

    Returns:
        Steps without the dimension `step`: infinite where the level is never reached, NaN where a
        state or the level is missing.
    """
    steps = values["step"].to_numpy().astype(np.float64)

    def reach(row: Array, limit: float) -> float:
        if np.isnan(row).any() or np.isnan(limit):
            return np.nan
        low = row <= limit
        if not low.any():
            return np.inf
        i = int(low.argmax())
        if i == 0:
            return float(steps[0])
        part = (row[i - 1] - limit) / (row[i - 1] - row[i])
        return float(steps[i - 1] + part * (steps[i] - steps[i - 1]))

    result: xr.DataArray = xr.apply_ufunc(
        reach, values, level, input_core_dims=[["step"], []], vectorize=True
    )
    return result


def at_step(values: xr.DataArray, step: xr.DataArray | float) -> xr.DataArray:
    """Values at steps between the measured states, linear; NaN beyond them or where missing.

    Args:
        values: with a dimension `step`.
        step: where to read them; its own dimensions are added to the result.
    """
    steps = values["step"].to_numpy().astype(np.float64)

    def read(row: Array, at: float) -> float:
        return float(np.interp(at, steps, row, left=np.nan, right=np.nan))

    result: xr.DataArray = xr.apply_ufunc(
        read, values, step, input_core_dims=[["step"], []], vectorize=True
    )
    return result


def shared_text_losses(point: xr.Dataset, count: int) -> xr.DataArray:
    """Text losses that every size passes [level, stream, initialisation] (Fig. 22).

    From the lowest that all reach up to the unigram entropy of the corpus, evenly; the lowest alone
    for a count of 1. NaN where a size learns no more of the text than the unigrams.
    """
    lowest = text_loss(point).min("step", skipna=False).max("size", skipna=False)
    room = point["unigram_entropy"].astype(np.float64) - lowest
    part = xr.DataArray(np.linspace(0, 1, count), dims="level")
    return (lowest + part * room).where(room > 0)


def at_text_loss(point: xr.Dataset, task: str, level: xr.DataArray) -> xr.DataArray:
    """What is left of a task when a size's text loss first is as low as a level (Fig. 22)."""
    return at_step(left(point, task), first_reach(text_loss(point), level))


def at_equal_compute(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Values of neighbouring sizes at the compute of the smaller one's last state (Fig. 23).

    Args:
        values: with the dimensions `size`, at least two from small to large that have the
            coordinate `parameters`, and `step`.

    Returns:
        Of the smaller and of the larger size of each pair, along a dimension `pair`.
    """
    parameters = values["parameters"].to_numpy().astype(np.float64)
    last = float(values["step"][-1])
    smaller, larger = [], []
    for i in range(len(parameters) - 1):
        step = last * parameters[i] / parameters[i + 1]
        smaller.append(values.isel(size=i, step=-1, drop=True))
        larger.append(at_step(values.isel(size=i + 1, drop=True), step))
    return xr.concat(smaller, "pair"), xr.concat(larger, "pair")


def frontier(loss: xr.DataArray, tokens: float) -> xr.Dataset:
    """The states that no state of less compute betters: the compute-optimal frontier (Fig. 23).

    Args:
        loss: [size, step], such as the mean over units; missing states do not count.
        tokens: of one step.

    Returns:
        `compute` in FLOPs, ascending, `loss`, falling, and `size` [state].
    """
    states_of = {"state": ("size", "step")}
    flat = xr.Dataset({"loss": loss, "compute": compute(loss, tokens)}).stack(states_of)
    flat = flat.reset_index("state").reset_coords("size").drop_vars("step")
    flat = flat.isel(state=(flat["loss"].notnull() & (flat["compute"] > 0)).to_numpy())
    flat = flat.isel(state=np.lexsort((flat["loss"], flat["compute"])))
    values = flat["loss"].to_numpy()
    best = np.minimum.accumulate(np.concatenate([[np.inf], values]))
    return flat.isel(state=values < best[:-1])


def learned_in_order(times: xr.DataArray) -> xr.DataArray:
    """Share of pairs of frequencies of which a size learns the higher one first (Fig. 6a).

    Pairs of which it learns neither do not count. NaN where a student is missing or none counts.

    Args:
        times: steps until the task is learned [per_token, size, ...], infinite where it never is.
    """
    counted = ordered_pairs(times)
    earlier = times < times.rename(per_token="rarer")
    share: xr.DataArray = earlier.where(counted).mean(("per_token", "rarer", "size"))
    return share.where(states.complete(times))


def ordered_pairs(times: xr.DataArray) -> xr.DataArray:
    """Which pairs of frequencies `learned_in_order` counts; bool [per_token, size, ..., rarer].

    Args:
        times: as there.
    """
    rarer = times.rename(per_token="rarer")
    learned = np.isfinite(times) | np.isfinite(rarer)
    pairs: xr.DataArray = (rarer["rarer"] < times["per_token"]) & learned
    return pairs
