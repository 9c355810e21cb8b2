"""Studies with arms: sizes that end at planted levels under each schedule and counterfactual."""

import made_control
import numpy as np
import xarray as xr

EVEN, NEVER = "even", "never shown"


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
