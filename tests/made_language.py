"""A made-up study of language models that learn two injected tasks as the paper says."""

import itertools
import json

import made_exposures
import numpy as np
import xarray as xr

SIZES = {"4M": 4_000_000, "20M": 20_000_000, "80M": 80_000_000}
RATES = (2.4e-5, 2.4e-6, 2.4e-7, 2.4e-8)
TASKS = ("text", "comparison", "addition")
LABELS = np.array([np.nan, 2, 100])
UNIGRAMS = 7.2
BATCH, ROW_TOKENS = 64, 512


def text_loss(parameters, tokens):
    """Nats per token: lower for larger models, falling with the tokens."""
    floor = 3 + 2 * (4e6 / parameters) ** 0.4
    return floor + (10.8 - floor) / (1 + tokens / 3e6) ** 0.5


def share_left(parameters, tokens, rate, gap, harder):
    """Share of a task's loss that is left: a function of the text loss, but for plateaus.

    A size learns what is frequent enough for it; a longer gap and a harder task ask for more.
    """
    text = text_loss(parameters, tokens)
    doublings = np.log10(rate / RATES[0])
    learned = 1 / (1 + np.exp(-(text - (6.6 - 0.3 * harder + 0.25 * doublings)) / 0.1))
    needed = RATES[0] * (4e6 / parameters) ** 2.2 / 4 * gap**0.3 * 6**harder
    plateau = 1 / (1 + (rate / needed) ** 2)
    return np.maximum(plateau + (1 - plateau) * learned, 0.004)


def language(
    rates=RATES,
    gaps=(),
    sizes=SIZES,
    streams=2,
    initialisations=2,
    steps=None,
    share=share_left,
    noise=0.005,
):
    """Results over frequencies, over gaps, over both, or at one frequency where they are none."""
    rng = np.random.default_rng(0)
    if steps is None:
        steps = np.unique([0, *np.geomspace(20, 10_000, 40).round().astype(int)])
    grid = {"per_token": list(rates), "gap": list(gaps)}
    grid = {name: values for name, values in grid.items() if values}
    places = list(itertools.product(rates or RATES[:1], gaps or (1,)))
    parameters = np.array(list(sizes.values()), np.float64)
    tokens = np.asarray(steps, np.float64) * BATCH * ROW_TOKENS
    shape = (len(places), streams, len(parameters), initialisations, len(steps), len(TASKS))
    wobble = np.exp(noise * rng.standard_normal(shape))
    loss, accuracy, test_loss, test_accuracy = (np.empty(shape) for _ in range(4))
    for i, (rate, gap) in enumerate(places):
        text = text_loss(parameters[:, None], tokens)
        loss[i, ..., 0] = text[None, :, None]
        test_loss[i, ..., 0] = text[None, :, None]
        accuracy[i, ..., 0] = test_accuracy[i, ..., 0] = (1 / text)[None, :, None]
        unaware = 6 * np.exp(-tokens * rate / 50)  # until the labels are known
        for task in (1, 2):
            left = share(parameters[:, None], tokens, rate, gap, task - 1)[None, :, None]
            chance = 1 / LABELS[task]
            kept = np.sqrt(left) if task == 2 else left
            loss[i, ..., task] = left * np.log(LABELS[task]) + unaware * left
            test_loss[i, ..., task] = kept * np.log(LABELS[task]) + unaware * kept
            accuracy[i, ..., task] = 1 - (1 - chance) * left
            test_accuracy[i, ..., task] = 1 - (1 - chance) * kept
    lead = ("stream", *grid, "size", "initialisation", "step")
    outer = [len(values) for values in grid.values()]

    def variable(values, *dims):
        values = np.moveaxis(values, 0, 1).astype(np.float32)
        return (*lead, *dims), values.reshape(streams, *outer, *values.shape[2:])

    prompts = (7 - 2 * np.log10(1 + tokens / 1e6))[:, None] * [0.8, 1.1]
    shares = np.array([[1 - 2e2 * rate, 1e2 * rate, 1e2 * rate] for rate, _ in places])
    constant = tuple(grid)
    results = xr.Dataset(
        {
            "loss": variable(loss * wobble, "task"),
            "accuracy": variable(accuracy, "task"),
            "test_loss": variable(test_loss * wobble, "task"),
            "test_accuracy": variable(np.minimum(test_accuracy * wobble, 1), "task"),
            "reference_loss": variable(
                wobble[..., :2] * np.broadcast_to(prompts, (*shape[:-1], 2)), "prompt"
            ),
            "frequency": ((*constant, "task"), shares.reshape(*outer, 3)),
            "chance": (
                (*constant, "task"),
                np.broadcast_to(1 / LABELS, (len(places), 3)).reshape(*outer, 3).copy(),
            ),
            "unigram_entropy": (constant, np.full(outer, UNIGRAMS)),
            "step_rows": (constant, np.full(outer, float(BATCH))),
            "step_tokens": (constant, np.full(outer, float(BATCH * ROW_TOKENS))),
            "finished": (("stream", *grid), np.ones((streams, *outer), bool)),
        },
        {
            "stream": np.arange(streams),
            **grid,
            "size": list(sizes),
            "width": ("size", [64 * 2**i for i in range(len(sizes))]),
            "parameters": ("size", list(sizes.values())),
            "initialisation": np.arange(initialisations),
            "step": np.asarray(steps),
            "task": list(TASKS),
            "watch": list(TASKS[1:]),
            "prompt": ["increase", "sum"],
            **({} if gaps else {"gap": 1}),
        },
        {
            "name": "language",
            "question": "Which size learns which task?",
            "steps": int(steps[-1]),
            "study": json.dumps({"run": {"batch": BATCH}}),
        },
    )
    return made_exposures.with_bursts(results) if gaps else results


def varied(results, batch, window):
    """The results over batches and windows too, as if these changed no loss."""
    results = results.expand_dims(batch=list(batch), window=list(window))
    rows = xr.DataArray(np.array(batch, np.float64), dims="batch")
    tokens = rows * xr.DataArray(np.array(window, np.float64), dims="window")
    each = results["step_rows"].copy(data=np.ones(results["step_rows"].shape))
    results = results.assign(step_rows=each * rows, step_tokens=each * tokens)
    return results.transpose("stream", "batch", "window", ...)


def gaps(values=(1, 10, 100), **options):
    """Results over gaps at one frequency, measured just before the last exposure too."""
    regular = np.geomspace(20, 10_000, 20).round().astype(int)
    before = [10_000 // gap * gap - 1 for gap in values]
    return language((), values, steps=np.unique([0, *regular, *before]), **options)
