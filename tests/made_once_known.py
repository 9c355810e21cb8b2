"""Studies whose branches go on without the task from several states of one run."""

import json

import numpy as np
import xarray as xr

AGES, LENGTH = (100, 200, 300), 200
SINCE = np.arange(0, LENGTH + 1, 20)


def results(starts, half_lives, streams=8):
    """A trunk that learns, and quiet branches from three of its states.

    Args:
        starts: level of each size at each age.
        half_lives: of each size from each age, in steps.
        streams: whose half-lives differ by a few percent.
    """
    names, sizes = [f"quiet {age}" for age in AGES], len(starts)
    noise = 2 ** (0.05 * np.random.default_rng(0).standard_normal((streams, sizes)))
    steps = sorted({0, *(age + t for age in AGES for t in SINCE)})
    signal = np.full((streams, 4, sizes, len(steps)), np.nan)
    signal[:, 0, :, [0, *map(steps.index, AGES)]] = np.stack(
        [[0.0] * sizes, *np.transpose(starts)]
    )[:, None]
    for i in range(streams):
        for j, age in enumerate(AGES):
            at = [steps.index(age + t) for t in SINCE]
            for k in range(sizes):
                life = half_lives[k][j] * noise[i, k]
                signal[i, 1 + j, k, at] = starts[k][j] * 2 ** (-SINCE / life)
    dims = ("stream", "branch", "size", "initialisation", "step", "task")
    values = signal[:, :, :, None, :, None]
    study = {
        "branches": [
            {
                "name": name,
                "of": "trunk",
                "at": age,
                "changes": [{"field": "exposure.left_out", "value": [-1]}],
            }
            for name, age in zip(names, AGES, strict=True)
        ]
    }
    turn = np.tile([np.nan, *AGES], (streams, 1))
    return xr.Dataset(
        {
            "signal": (dims, values),
            "loss": (dims, 1 - values),
            "turn": (("stream", "branch"), turn),
            "frequency": ("task", [0.1]),
            "finished": (dims[:3], np.ones((streams, 4, sizes), bool)),
        },
        {
            "step": steps,
            "task": ["rare"],
            "watch": ["rare"],
            "branch": ["trunk", *names],
            "size": [f"s{k}" for k in range(sizes)],
            "width": ("size", range(sizes)),
            "parameters": ("size", range(sizes)),
        },
        {"study": json.dumps(study), "inputs": 64},
    )


LATE_SMALL = ((0.3, 0.92, 0.97), (0.95, 0.99, 1.0))
