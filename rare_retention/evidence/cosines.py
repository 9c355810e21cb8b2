"""How the gradient of a batch stands to a rare task's own, at exposures and between (Fig. 9).

The gradient g of a batch is the part g_t of the rare task's terms plus g_nt, that of all others;
g_r is the gradient of the task's reference loss at the same state. State s was measured with batch
s - 1, so that the batch of an exposure belongs to the state just after it.
"""

import numpy as np
import xarray as xr

from rare_retention.evidence import exposures, gradients, retention, states

PARTS = ("g", "g_t", "g_nt")
"""The gradient of a batch, its part of the rare task, its part of all others."""

ALL = "all"
"""The block of all weights."""


def blocks(results: xr.Dataset) -> tuple[str, str]:
    """The two blocks to look at: where the task is learned, and all weights.

    The first is the task's neurons where gradients were compared on them, else the first block: the
    encoder that tasks share, in the synthetic setting.
    """
    names = [str(name) for name in results["block"].to_numpy()]
    return "neurons" if "neurons" in names else names[0], ALL


def cosines(point: xr.Dataset) -> xr.Dataset:
    """Cosines with g_r of the rarest watched task, in every batch that was measured.

    Args:
        point: of a study's grid, with `gram`.

    Returns:
        `g`, `g_t` and `g_nt` [..., step, block], NaN where one of the two gradients is zero, and
        `shown` [..., step]: 1 where the batch held the task, 0 where not, NaN where missing.
    """
    task = states.rarest(point)
    gram = states.measured(point["gram"])
    whole, own = gradients.whole(gram), {gradients.batch_of(task): 1.0}
    rest = {name: weight for name, weight in whole.items() if name not in own}
    reference = {gradients.reference_of(task): 1.0}
    found = {
        part: gradients.cosine(gram, vector, reference)
        for part, vector in zip(PARTS, (whole, own, rest), strict=True)
    }
    size = gradients.norm(gram.sel(block=ALL, drop=True), own)
    return xr.Dataset({**found, "shown": (size > 0).astype(np.float64).where(size.notnull())})


def at_exposures(found: xr.Dataset) -> xr.Dataset:
    """Mean cosines over the measured batches that held the task.

    Args:
        found: result of `cosines`.

    Returns:
        `g`, `g_t` and `g_nt` without the dimension `step`, NaN where a state is missing or no batch
        held the task.
    """
    return _mean(found[list(PARTS)], found["shown"] == 1, found)


def between_exposures(found: xr.Dataset) -> xr.Dataset:
    """The cosine over the measured batches without the task: its mean and its size.

    Both shrink with size by themselves: only those of a task that is never shown say what of them
    the task's being shown makes. One over the number of weights, the mean square for directions
    drawn at random, is far below them.

    Args:
        found: result of `cosines`.

    Returns:
        `cosine` and `magnitude` of g = g_nt there, without the dimension `step`; NaN as in
        `at_exposures`.
    """
    rest = found["g_nt"]
    means = xr.Dataset({"cosine": rest, "magnitude": abs(rest)})
    return _mean(means, found["shown"] == 0, found)


def through_cycles(point: xr.Dataset, found: xr.Dataset) -> xr.DataArray | None:
    """Mean cosine of g over densely measured cycles, by the steps since the exposure.

    Args:
        point: of a study's grid.
        found: its `cosines`.

    Returns:
        [..., since]: 0 is the batch of the exposure. Each mean is over the cycles that last so
        long. None where no cycle was measured densely.
    """
    each = retention.through_cycles(found["g"], exposures.of(point))
    if each is None:
        return None
    since = retention.mean_cycle(each.sel(offset=each["offset"] > 0))
    return since.assign_coords(offset=since["offset"] - 1).rename(offset="since")


def _mean(values: xr.Dataset, which: xr.DataArray, found: xr.Dataset) -> xr.Dataset:
    return values.where(which).mean("step").where(states.unbroken(found["shown"]))
