"""Studies with planted branches: a task learned, forgotten, protected, learned again."""

import json

import numpy as np
import xarray as xr

TURN, STEPS = 40, tuple(range(0, 401, 20))


def _branch(name, of, *changes):
    own = (*changes, ("measure.every", 20))
    return {"name": name, "of": of, "changes": [{"field": f, "value": v} for f, v in own]}


OUT, SHOWN = ("exposure.left_out", [-1, -2]), ("exposure.left_out", [-2])
RULE, OTHER = ("rule.kind", "protection"), ("rule.along", 1)
BRANCHES = (
    _branch("shown", "trunk", SHOWN),
    _branch("quiet", "shown", OUT),
    _branch("protected", "shown", OUT, RULE),
    _branch("along another", "shown", OUT, RULE, OTHER),
    _branch("again", "quiet", SHOWN),
)
NAMES = ("trunk", *(branch["name"] for branch in BRANCHES))


def level(name, steps, half, start, learn, saves, apart):
    """Level by the steps since a branch turned off."""
    if name in ("shown", "again"):
        return np.where(steps >= learn * (1 - saves * (name == "again")), 0.95, 0.1)
    slower = 10 if name == "protected" else 1
    return start * 2 ** (-steps / half / slower) + apart * (name == "along another")


def results(
    half_lives=(50.0, 200.0),
    starts=(0.9, 0.9),
    learn=(200, 200),
    saves=(0.1, 0.5),
    apart=0.0,
    streams=3,
    noise=0.01,
    shift=0,
):
    """Students of two sizes; the trunk has steps 0 and 40, a branch those from its turn on.

    Args:
        half_lives: of each size, in steps, without the task; protected all fades tenfold slower.
        starts: level of each size at the turn.
        learn: steps to learn the task, of each size.
        saves: share of them that is saved the second time.
        apart: of levels where another task is protected.
        streams: number of streams.
        noise: standard deviation of the log2 of half-lives and of steps to learn among streams.
        shift: steps by which each stream turns off later than the one before.
    """
    rng, steps, sizes = np.random.default_rng(0), np.array(STEPS), len(half_lives)
    turns = [TURN + shift * i for i in range(streams)]
    every = sorted({0, *(turn + t for turn in turns for t in STEPS)})
    values = np.full((streams, len(NAMES), sizes, 1, len(every), 1), np.nan)
    turn = np.full((streams, len(NAMES)), np.nan)
    values[:, 0, :, :, [0]] = 0.0
    for i, begin in enumerate(turns):
        turn[i, 1:] = begin
        at = [every.index(begin + t) for t in STEPS]
        values[i, 0, :, 0, every.index(turns[-1]), 0] = starts
        for k in range(sizes):
            half, longer = (2 ** (noise * rng.standard_normal()) for _ in range(2))
            for j, name in enumerate(NAMES[1:], 1):
                lives, takes = half * half_lives[k], longer * learn[k]
                own = level(name, steps, lives, starts[k], takes, saves[k], apart)
                values[i, j, k, 0, at, 0] = own
    both = np.concatenate([0 * values, values], -1)
    dims = ("stream", "branch", "size", "initialisation", "step", "task")
    shape = (streams, len(NAMES), sizes)
    widths = list(range(8, 8 + sizes))
    return xr.Dataset(
        {
            "signal": (dims, both),
            "loss": (dims, 1 - both),
            "turn": (("stream", "branch"), turn),
            "exposure_step": (
                ("stream", "branch", "watch", "exposure"),
                np.full((*shape[:2], 1, 1), 3.0),
            ),
            "frequency": (("task",), [0.9, 0.1]),
            "finished": (dims[:3], np.ones(shape, bool)),
        },
        {
            "step": every,
            "task": ["sham", "rare"],
            "watch": ["rare"],
            "branch": list(NAMES),
            "size": widths,
            "width": ("size", widths),
            "parameters": ("size", widths),
        },
        {"study": json.dumps({"branches": BRANCHES}), "inputs": 64, "steps": turns[-1]},
    )
