"""A made-up study of sizes trained for several lengths, whose losses follow a planted law."""

import json

import numpy as np
import xarray as xr

from rare_retention.theory.scaling import ScalingLaw

LAW = ScalingLaw(l0=1.7, a=400.0, alpha=0.34, b=1000.0, beta=0.3)
SIZES = {"1M": 1_000_000, "4M": 4_000_000, "16M": 16_000_000, "64M": 64_000_000}
LENGTHS = (1_000, 4_000, 16_000)
BATCH, ROW_TOKENS = 128, 1024


def losses(parameters, tokens, noise, rng):
    """Losses of the planted law with relative noise."""
    law = LAW.loss(parameters, tokens)
    return law * np.exp(noise * rng.standard_normal(np.shape(law)))


def ladder(sizes=SIZES, lengths=LENGTHS, streams=2, initialisations=1, noise=0.004, seed=0):
    """Results over the grid `steps`; runs stand above the law until they are at their end."""
    rng = np.random.default_rng(seed)
    parameters = np.array(list(sizes.values()))
    steps = np.unique([0, *(length // part for length in lengths for part in (4, 2, 1))])
    loss = np.full((streams, len(lengths), len(parameters), initialisations, len(steps), 2), np.nan)
    for i, length in enumerate(lengths):
        there = np.isin(steps, [length // 4, length // 2, length])
        shape = (streams, len(parameters), initialisations, there.sum())
        tokens = np.broadcast_to(steps[there] * float(BATCH * ROW_TOKENS), shape)
        text = losses(parameters[:, None, None], tokens, noise, rng) + 0.2 * (steps[there] < length)
        loss[:, i, ..., there, 0] = np.moveaxis(text, -1, 0)
        loss[:, i, ..., there, 1] = 0.7
        loss[:, i, ..., steps == 0, :] = 10.8
    dims = ("stream", "steps", "size", "initialisation", "step", "task")
    return xr.Dataset(
        {
            "loss": (dims, loss.astype(np.float32)),
            "frequency": (("steps", "task"), np.full((len(lengths), 2), [0.99, 0.01])),
            "unigram_entropy": ("steps", np.full(len(lengths), 7.2)),
            "step_rows": ("steps", np.full(len(lengths), float(BATCH))),
            "step_tokens": ("steps", np.full(len(lengths), float(BATCH * ROW_TOKENS))),
            "finished": (("stream", "steps"), np.ones((streams, len(lengths)), bool)),
        },
        {
            "stream": np.arange(streams),
            "steps": list(lengths),
            "size": list(sizes),
            "width": ("size", [64 * 2**i for i in range(len(sizes))]),
            "parameters": ("size", parameters),
            "initialisation": np.arange(initialisations),
            "step": steps,
            "task": ["text", "comparison"],
            "watch": ["comparison"],
            "gap": 1,
        },
        {
            "name": "ladder",
            "question": "Which law?",
            "steps": int(steps[-1]),
            "study": json.dumps({"run": {"batch": BATCH}}),
        },
    )
