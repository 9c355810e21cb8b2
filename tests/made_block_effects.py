"""A made-up study of two sizes whose updates have planted effects on a task's loss, by block."""

import made_exposures
import numpy as np
import xarray as xr

GAP, LAST, STREAMS = 20, 100, 2
EVERY = 5  # steps between measurements, beside those around exposures
BLOCKS = ("encoder", "decoders", "neurons", "all")  # the third is one that no size has
FIRST = ((0.03, 0.01), (0.01, 0.002))  # a step between exposures, [size, block]
SECOND = ((0.004, -0.001), (0.001, 0.0))
SHAM = 0.25  # of these is what the updates do to a task that is never shown
BURST = -0.5  # what the batch of an exposure does, in the first block
MISSED = 0.001  # of every step's change no order says, in later streams 1e-4 of it more

STEPS = np.unique(
    np.concatenate([np.arange(0, LAST + 1, EVERY), np.arange(GAP - 1, LAST + 1, GAP)])
)


def effects(size, share):
    """What each update does [t, order, block]; on all weights it is the sum."""
    own = np.zeros((LAST, 2, 4))
    own[:, 0, :2], own[:, 1, :2] = FIRST[size], SECOND[size]
    own *= share
    if share == 1:
        own[GAP - 1 :: GAP, 0, 0] = BURST
    own[..., 2] = np.nan
    own[..., 3] = own[..., :2].sum(-1)
    return own


def study(sham=True, streams=STREAMS):
    """Results with an arm in which the task is left out, or without it."""
    arms = (1.0, SHAM) if sham else (1.0,)
    dims = ("stream", "left_out", "size", "initialisation", "step", "watch")
    shape = (streams, len(arms), 2, 1, len(STEPS), 1)
    orders, reference = np.full((2, *shape, 4), np.nan), np.empty(shape)
    for unit in np.ndindex(streams, len(arms), 2):
        each = effects(unit[2], arms[unit[1]])
        through = np.concatenate([np.zeros((1, 2, 4)), np.cumsum(each, 0)])[STEPS]
        orders[(slice(None), *unit, 0, slice(1, None), 0)] = np.moveaxis(
            np.diff(through, axis=0), 1, 0
        )
        reference[(*unit, 0, slice(None), 0)] = (
            9 + through[..., 3].sum(-1) + MISSED * (1 + 1e-4 * unit[0]) * STEPS
        )
    results = xr.Dataset(
        {
            "interference_first": ((*dims, "block"), orders[0].astype(np.float32)),
            "interference_second": ((*dims, "block"), orders[1].astype(np.float32)),
            "reference": (dims, reference),
            "loss": ((*dims[:-1], "task"), reference),
            "frequency": (("task",), [0.05]),
            "finished": (("stream", "left_out"), np.ones((streams, len(arms)), bool)),
        },
        {
            "stream": np.arange(streams),
            "left_out": ["()", "(-1,)"][: len(arms)],
            "size": [8, 32],
            "initialisation": [0],
            "step": STEPS,
            "task": ["rare"],
            "watch": ["rare"],
            "block": list(BLOCKS),
            "gap": GAP,
        },
    )
    results = made_exposures.with_bursts(results)
    step = results["exposure_step"].expand_dims(left_out=results["left_out"], axis=1)
    return results.assign(exposure_step=step.where(results["left_out"] == "()"))
