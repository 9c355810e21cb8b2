"""Studies of two sizes in two arms, with planted retention: the task shown, or left out."""

import numpy as np
import xarray as xr

GAP, CYCLES, STREAMS = 50, 12, 3
ROWS = 8.0  # of the task in each burst


def signal(rho, gain, level=0.0):
    """Level at every step: each exposure gains a share of what is missing, each gap leaves rho."""
    values, held = [], 0.0
    for step in range(GAP * (CYCLES + 1)):
        if step % GAP == 0 and step:
            peak = held + gain * (1 - held)
        since = step % GAP
        held = held if step < GAP else peak * rho ** (since / (GAP - 1))
        values.append(level + held)
    return np.array(values)


def results(rhos, gains, levels=None, noise=0.0, streams=STREAMS):
    """A study of two sizes, shown the task or not; level is what the control has as well."""
    rng, levels = np.random.default_rng(0), levels or (0.0,) * len(rhos)
    steps = np.arange(GAP * (CYCLES + 1))
    shown = np.stack([signal(*each) for each in zip(rhos, gains, levels, strict=True)])
    plain = np.broadcast_to(np.array(levels)[:, None], shown.shape)
    values = np.stack([shown, plain])[None, :, :, None, :, None].repeat(streams, 0)
    values = values + noise * rng.standard_normal(values.shape)
    at = np.arange(GAP - 1, len(steps) - 1, GAP, dtype=float)
    exposures = np.full((streams, 2, 1, len(at)), np.nan)
    exposures[:, 0, 0] = at
    return xr.Dataset(
        {
            "signal": (("stream", "left_out", "size", "initialisation", "step", "task"), values),
            "exposure_step": (("stream", "left_out", "watch", "exposure"), exposures),
            "exposure_count": (
                ("stream", "left_out", "watch", "exposure"),
                np.where(np.isnan(exposures), np.nan, ROWS),
            ),
            "frequency": (("task",), [0.1]),
            "finished": (("stream", "left_out", "size"), np.ones((streams, 2, len(rhos)), bool)),
        },
        {"step": steps, "task": ["rare"], "watch": ["rare"], "left_out": ["()", "(-1,)"]},
    )


def in_mixture(results, widths):
    """The same with the widths of its students, in a mixture in which N*_r is 3 for the rare task.

    Of two tasks the common one's two features have the utilities 0.9 and 0.45, the rare one's 0.1.
    """
    return (
        results.isel(task=[0, 0])
        .assign(
            spectrum=(("task", "direction"), [[1.0, 0.5], [1.0, 0.0]]),
            frequency=("task", [0.9, 0.1]),
        )
        .assign_coords(task=["common", "rare"], width=("size", list(widths)))
    )


def with_sham(results, cosine=0.01):
    """Results beside those of the same students without the task, whose cosine is then this one."""
    null = results.assign(
        cosine=xr.full_like(results["cosine"], cosine),
        exposure_step=results["exposure_step"] * np.nan,
    )
    both = xr.concat([results, null], "left_out", data_vars="all", join="exact")
    both = both.assign_coords(left_out=["()", "(-1,)"])
    lead = [dim for dim in ("stream", "prior_exponent") if dim in both.dims]
    return both.transpose(*lead, "left_out", "size", ...)
