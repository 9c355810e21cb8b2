"""Interference with a rare task beyond what a task that was never shown suffers alike.

Cosines between gradients shrink with size by themselves, and so do the effects of updates on any
loss. That the rest interferes less with a rare task in a larger model therefore says something
only beside a sham: the same measurement, in the same students on the same streams, for a task that
was never shown. Real and sham are subtracted student by student, before anything is averaged.
"""

import xarray as xr

from rare_retention.evidence import gradients, states


def effects(point: xr.Dataset) -> xr.DataArray:
    """First-order change of the rarest watched task's loss by each measured update, by block.

    Args:
        point: of a study's grid, with `gram`.

    Returns:
        <update, g_r> on each block [..., step, block], in the loss's units; above 0 the update
        makes the task worse. The sum over blocks that share no weights is that on all of them.
    """
    reference = {gradients.reference_of(states.rarest(point)): 1.0}
    return gradients.inner(states.measured(point["gram"]), {gradients.UPDATE: 1.0}, reference)


def beyond(
    real: xr.DataArray, sham: xr.DataArray, counted: xr.DataArray | None = None
) -> xr.DataArray:
    """Mean over states of what the rare task suffers minus what the sham does, by unit.

    Args:
        real: effects or sizes of cosines of the rare task [..., step], with any other dimensions.
        sham: the same of the task that was never shown, for the same students and batches.
        counted: bool, the states that count, such as those between exposures; all by default.

    Returns:
        Without `step`; NaN where no state counts, or a state of a stream that was measured for the
        real task is missing in one of the two.
    """
    measured = states.own(real)
    if counted is not None:
        measured = measured & counted
    real, sham = xr.align(real, sham, join="outer", exclude=set(real.dims) - {"step"})
    measured = measured.reindex(step=real["step"], fill_value=False)
    difference = (real - sham).where(measured)
    whole = (difference.notnull() | ~measured).all("step") & measured.any("step")
    mean: xr.DataArray = difference.mean("step").where(whole)
    return mean


def less_in_large(
    real: xr.DataArray, sham: xr.DataArray, counted: xr.DataArray | None = None
) -> xr.DataArray:
    """How much less the largest size suffers than the smallest, beyond the sham, by unit.

    Args:
        real: as for `beyond`, with the dimension `size`, from small to large.
        sham: as there.
        counted: as there.

    Returns:
        `beyond` of the smallest size minus that of the largest: around 0 where interference shrinks
        with size alike for both tasks.
    """
    each = beyond(real, sham, counted)
    return each.isel(size=0, drop=True) - each.isel(size=-1, drop=True)
