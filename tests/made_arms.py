"""Studies with arms: sizes that end at planted levels under each schedule and counterfactual."""

import made_control
import numpy as np
import xarray as xr

EVEN, NEVER = "even", "never shown"

WIDTHS = (2, 4, 8, 16)
"""Of which the first has no room."""

FORGOTTEN = {
    "even": (0.0, 0.95, 0.96, 0.97),
    "gap 9": (0.0, 0.90, 0.95, 0.96),
    "gap 50": (0.0, 0.02, 0.40, 0.90),
    "gap 50, protected": (0.02, 0.92, 0.93, 0.95),
    "gap 50, more rows": (0.0, 0.05, 0.45, 0.90),
    "gap 50, both": (0.02, 0.94, 0.94, 0.95),
    "gap 50, another protected": (0.0, 0.03, 0.42, 0.90),
}
"""What a small student with room lacks under bursts is forgotten."""


def results(levels, noise=0.003, streams=4, widths=None):
    """A study of two tasks, in which the rare one ends at these levels.

    Args:
        levels: name of an arm -> final level of each size; half of it at half of the steps.
        noise: standard deviation over streams.
        streams: of them.
        widths: of the students, for which the rare task needs 3 (`made_control.in_mixture`).
    """
    rng, count = np.random.default_rng(0), len(next(iter(levels.values())))
    parts = []
    for name, final in {**levels, NEVER: (0.0,) * count}.items():
        part = made_control.results((0.6,) * count, (0.5,) * count, streams=streams)
        part = part.isel(left_out=int(name == NEVER), drop=True)
        values = part["signal"].to_numpy().copy()
        half = values.shape[-2] // 2
        spread = noise * rng.standard_normal((streams, count)) * (name != NEVER)
        values[:, :, 0, -1, 0] = np.array(final) + spread
        values[:, :, 0, half - 1 : half + 1, 0] = (np.array(final) / 2 + spread)[..., None]
        part = part.assign(signal=(part["signal"].dims, values))
        parts.append(part.assign_coords(arm=name))
    joined = xr.concat(parts, "arm", data_vars="all").transpose("stream", "arm", ...)
    joined = joined.assign(frequency=("task", [0.1]))
    if widths is not None:
        joined = made_control.in_mixture(joined, widths)
    return joined


HELD_STILL = FORGOTTEN | {
    "gap 50, held still": (0.0, 0.85, 0.86, 0.92),
    "gap 50, another held still": FORGOTTEN["gap 50"],
}
"""The same with what changes the task taken out of its gaps."""


def with_sham(study, rise=0.0):
    """The same with a task that is never shown, whose level rises where it is held still."""
    signal = study["signal"]
    sham = 0.2 * signal.isel(task=[0]) + rise * (study["arm"] == "gap 50, another held still")
    sham = sham.assign_coords(task=["sham"]).transpose(*signal.dims)
    wide = study.reindex(task=["rare", "sham"], watch=["rare", "sham"])
    return wide.assign(signal=xr.concat([signal, sham], "task"), frequency=("task", [0.1, 0.0]))
