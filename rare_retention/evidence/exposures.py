"""When a watched task was shown, and how each state stands to that.

Results say at which steps t each stream's batches held a task (`exposure_step`). State t, the one
after t updates, is just before such an exposure, and state t + 1 just after it. Streams may have
their exposures at different steps and be measured at different steps around them: what stands
relative to an exposure is read stream by stream.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xarray as xr

from rare_retention.evidence import states
from rare_retention.theory.checks import Array, IntArray


class Near(NamedTuple):
    """How states stand to a task's exposures, arrays [S].

    Attributes:
        number: exposures before each state.
        since: steps since the last of them, 1 just after it; NaN where there was none.
        until: steps until the next one, 0 just before it; NaN where none is known.
    """

    number: IntArray
    since: Array
    until: Array


def near(steps: IntArray, exposures: Array) -> Near:
    """How states of one stream stand to its exposures.

    Args:
        steps: of the states [S].
        exposures: steps of the batches that held the task [E], ascending, NaN after the last.
    """
    shown = exposures[~np.isnan(exposures)]
    number = np.searchsorted(shown, steps)
    padded = np.concatenate([[np.nan], shown, [np.nan]])
    return Near(number, steps - padded[number], padded[number + 1] - steps)


def of(point: xr.Dataset, task: str | None = None) -> xr.DataArray:
    """Steps of a watched task's exposures at one grid point [stream, exposure], NaN-padded.

    Args:
        point: of a study's grid.
        task: its name; the rarest watched one by default.
    """
    steps: xr.DataArray = point["exposure_step"].sel(
        watch=states.rarest(point) if task is None else task, drop=True
    )
    return steps


def rows(point: xr.Dataset, number: xr.DataArray, task: str | None = None) -> xr.DataArray:
    """Rows of a watched task in exposures of one grid point.

    Args:
        point: of a study's grid, with `exposure_count`.
        number: of each exposure, 0 for the first of a stream [stream, ...]; NaN for none.
        task: its name; the rarest watched one by default.

    Returns:
        As `number`, NaN where there is none.
    """
    count = point["exposure_count"].sel(
        watch=states.rarest(point) if task is None else task, drop=True
    )
    shown: xr.DataArray = count.isel(exposure=number.fillna(0).astype(int))
    return shown.where(number.notnull())


def by_stream(
    values: xr.DataArray, exposures: xr.DataArray
) -> Iterator[tuple[xr.DataArray, Array]]:
    """Each stream's values at the steps at which it was measured, and its exposures.

    Args:
        values: of one grid point, with a dimension `step`; without `stream` they are one stream's.
        exposures: result of `of`; without `stream` they are those of every stream.
    """
    for i in range(values.sizes.get("stream", 1)):
        own = values.isel(stream=i) if "stream" in values.dims else values
        shown = exposures.isel(stream=i) if "stream" in exposures.dims else exposures
        yield states.measured(own), shown.to_numpy()


def before_last(
    values: xr.DataArray, exposures: xr.DataArray, late: float = 1.0
) -> xr.DataArray | None:
    """Values of one grid point just before each stream's last exposure so measured.

    At the end of a run students of different gaps stand at different phases of their cycles; these
    states compare.

    Args:
        values: with a dimension `step`.
        exposures: result of `of`.
        late: only states in this last share of the steps that the run took count.

    Returns:
        The values without `step`, NaN for streams that were not measured to the end or not just
        before an exposure. None where no stream was.
    """
    end = int(states.measured(values)["step"][-1])
    found, any_held = [], False
    for own, shown in by_stream(values, exposures):
        steps = own["step"].to_numpy()
        before = (near(steps, shown).until == 0) & (steps >= (1 - late) * end)
        held = bool(before.any()) and steps[-1] == end
        any_held |= held
        last = own.isel(step=int(np.flatnonzero(before)[-1]) if held else -1, drop=True)
        found.append(last if held else xr.full_like(last, np.nan))
    if not any_held:
        return None
    return xr.concat(found, "stream") if "stream" in values.dims else found[0]
