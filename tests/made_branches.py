"""Studies with branches, with planted curves of forgetting: the task left out, or protected too."""

import json

import numpy as np
import xarray as xr

TURN, STEPS = 40, tuple(range(0, 401, 20))
OUT = {"field": "exposure.left_out", "value": [-1]}
RULE = {"field": "rule.kind", "value": "protection"}
OFTEN = {"field": "measure.every", "value": 20}
BRANCHES = (
    {"name": "quiet", "changes": [OUT, OFTEN]},
    {"name": "protected", "changes": [OUT, RULE, OFTEN]},
)


def results(half_lives=(50.0, 200.0), starts=(0.9, 0.9), streams=3, noise=0.01, shift=0):
    """Two sizes; the trunk has steps 0 and 40, a branch those from its turn on.

    Args:
        half_lives: of each size, in steps, in the first branch; in the second all fades tenfold
            more slowly.
        starts: level of each size at the turn.
        streams: number of streams.
        noise: standard deviation of the half-lives' log2 among streams.
        shift: steps by which each stream turns off later than the one before.
    """
    rng = np.random.default_rng(0)
    last = TURN + shift * (streams - 1)
    every = sorted({0, *(TURN + shift * i + t for i in range(streams) for t in STEPS)})
    sizes = len(half_lives)
    level = np.full((streams, 3, sizes, 1, len(every), 1), np.nan)
    level[:, 0, :, :, [0]] = 0.0
    turn = np.full((streams, 3), np.nan)
    for i in range(streams):
        turn[i, 1:] = TURN + shift * i
        at = [every.index(TURN + shift * i + t) for t in STEPS]
        for k, (half, start) in enumerate(zip(half_lives, starts, strict=True)):
            own = half * 2 ** (noise * rng.standard_normal())
            for j, slower in ((1, 1), (2, 10)):
                level[i, j, k, 0, at, 0] = start * 2 ** (-np.array(STEPS) / own / slower)
            level[i, 0, k, 0, every.index(last) if last in every else at[0], 0] = start
    dims = ("stream", "branch", "size", "initialisation", "step", "task")
    return xr.Dataset(
        {
            "signal": (dims, level),
            "loss": (dims, 1 - level),
            "turn": (("stream", "branch"), turn),
            "exposure_step": (
                ("stream", "branch", "watch", "exposure"),
                np.full((streams, 3, 1, 1), 3.0),
            ),
            "frequency": (("task",), [0.1]),
            "finished": (("stream", "branch", "size"), np.ones((streams, 3, sizes), bool)),
        },
        {
            "step": every,
            "task": ["rare"],
            "watch": ["rare"],
            "branch": ["trunk", "quiet", "protected"],
            "size": list(range(8, 8 + sizes)),
            "width": ("size", list(range(8, 8 + sizes))),
            "parameters": ("size", list(range(8, 8 + sizes))),
        },
        {"study": json.dumps({"branches": BRANCHES}), "inputs": 64, "steps": last},
    )
