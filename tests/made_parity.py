"""A made-up study of sparse parities whose learning times are planted."""

import numpy as np
import xarray as xr

from rare_retention.theory import utility

BATCH = 256
EVERY = 50


def parity(
    tasks=12,
    widths=(8, 32, 128),
    reach=(1, 5, 11),
    base=2000.0,
    exponent=0.0,
    spread=0.1,
    total=4000,
    streams=2,
    initialisations=2,
):
    """Students that learn their most frequent subtasks after some rows of each.

    Args:
        tasks: K.
        widths: of the students.
        reach: how many of the most frequent subtasks each width ever learns.
        base: rows of its own that the most frequent subtask needs.
        exponent: a subtask needs base (p_1 / p_k)^exponent rows of its own.
        spread: standard deviation of the logarithm of these, over students.
        total: steps of the run.
        streams: number of streams.
        initialisations: students of each width on each stream.
    """
    rng = np.random.default_rng(0)
    shares = utility.power_prior(tasks, 1.4)
    lead = (streams, len(widths), initialisations)
    rows = base * (shares[0] / shares) ** exponent
    rows = rows * np.exp(spread * rng.standard_normal((*lead, tasks)))
    times = rows / (BATCH * shares)
    known = np.arange(tasks) < np.array(reach)[:, None]
    times = np.where(known[None, :, None], times, np.inf)[..., None, :]
    steps = np.arange(0, total + 1, EVERY)
    reached = np.log(4)  # sigmoid of it: 0.8, an accuracy of 0.9
    told = 1 / (1 + np.exp(-np.clip((steps[:, None] - times) / 10 + reached, -50, 50)))
    accuracy = 0.5 + 0.5 * told
    dims = ("stream", "size", "initialisation", "step", "task")
    return xr.Dataset(
        {
            "accuracy": (dims, accuracy.astype(np.float32)),
            "loss": (dims, (np.log(2) * 2 * (1 - accuracy)).astype(np.float32)),
            "frequency": ("task", shares),
            "step_rows": ((), float(BATCH)),
            "step_tokens": ((), float(BATCH)),
            "finished": ("stream", np.ones(streams, bool)),
        },
        {
            "stream": np.arange(streams),
            "size": list(widths),
            "width": ("size", list(widths)),
            "parameters": ("size", [40 * width for width in widths]),
            "initialisation": np.arange(initialisations),
            "step": steps,
            "task": [f"parity {k + 1}" for k in range(tasks)],
        },
        {"name": "parities", "question": "Which?", "inputs": 24, "steps": total, "study": "{}"},
    )
