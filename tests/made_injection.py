"""A made-up study of language models that gain a task at each injection and lose it between.

Gains, half-lives and cosines are planted; every state of a cycle follows from them.
"""

import made_exposures
import made_language
import numpy as np
import xarray as xr

from rare_retention.evidence import gradients

GAPS = (20, 100)
GUESSING = np.log(2)
GAIN = (0.06, 0.08, 0.1)  # of the loss of guessing, by size
HALF_LIFE = (6.0, 30.0, 400.0)  # steps, by size
LAG = 2  # steps from an injection to the peak
BLOCKS = ("embedding", "neurons", "all")
WEIGHTS = 1e6  # of every block
SHOWN = (0.02, 0.05, 0.08)  # cos(g, g_r) on the neurons at injections, by size
REST = (-0.1, -0.04, -0.01)  # cos(g_nt, g_r) between them


def steps_of(gap, total, cycles):
    """Regular states and, about some injections, the one before and log-spaced ones after."""
    found = {0, total, *range(50, total, 150)}
    for c in np.unique(np.linspace(0, total // gap - 2, cycles).round().astype(int)):
        shown = (c + 1) * gap
        found |= {shown - 1, shown, shown + gap - 1}
        found |= {shown + int(2 ** (i / 2)) for i in range(20) if 2 ** (i / 2) < gap}
    return np.array(sorted(found))


def learned(steps, gap, gain, half_life):
    """Share of the task that is learned: what is left of all gains so far, at most 0.45."""
    value = np.zeros(len(steps))
    for exposure in range(gap, steps[-1] + 1, gap):
        since = steps - exposure
        rise = np.clip((since + 1) / (LAG + 1), 0, 1)
        fall = 0.5 ** (np.maximum(since - LAG, 0) / half_life)
        value += gain * rise * fall
    return 0.45 * np.tanh(value / 0.45)


def gram(steps, gap, size, rng, rests=REST, left_out=False):
    """Gram matrices [step, block, vector, other] of vectors with the planted cosines."""
    names = gradients.names(("comparison",))
    shown = (steps % gap == 0) & (steps > 0) & (not left_out)
    found = np.empty((len(steps), len(BLOCKS), len(names), len(names)))
    for b, weaker in enumerate((0.5, 1.0, 0.3)):
        reference = np.eye(6)[0]
        own = np.where(shown, 1.0, 0.0)[:, None] * _at_cosine(0.6 * weaker, 1)
        rest = _at_cosine(rests[size] * weaker + 0.01 * rng.standard_normal(len(steps)), 2)
        whole = _at_cosine(SHOWN[size] * weaker + 0.01 * rng.standard_normal(len(steps)), 3)
        rest = np.where(shown[:, None], 5 * whole - own, 5 * rest)
        update = -0.01 * (own + rest)
        vectors = np.stack([own, rest, np.broadcast_to(reference, rest.shape), update], 1)
        found[:, b] = vectors @ vectors.transpose(0, 2, 1)
    found[steps == 0] = np.nan
    return found


def _at_cosine(cosine, axis):
    """Unit vectors [..., 6] with a cosine to the first axis, the rest of them along another."""
    cosine = np.atleast_1d(cosine)
    return cosine[:, None] * np.eye(6)[0] + np.sqrt(1 - cosine[:, None] ** 2) * np.eye(6)[axis]


def study(
    gaps=GAPS,
    gain=GAIN,
    half_life=HALF_LIFE,
    streams=2,
    initialisations=1,
    total=1500,
    rests=REST,
    left_out=False,
):
    """Results over gaps; the comparison task is injected, or left out."""
    rng = np.random.default_rng(int(left_out))
    steps = {gap: steps_of(gap, total, 12) for gap in gaps}
    union = np.unique(np.concatenate(list(steps.values())))
    base = made_language.language(
        (), gaps, streams=streams, initialisations=initialisations, steps=union
    )
    base = base.isel(task=[0, 1]).drop_dims(["prompt", "watch"]).assign_coords(watch=["comparison"])
    loss = base["loss"].to_numpy().copy()
    vectors = list(gradients.names(("comparison",)))
    grams = np.full((*loss.shape[:-1], len(BLOCKS), len(vectors), len(vectors)), np.nan)
    for i, gap in enumerate(gaps):
        absent = ~np.isin(union, steps[gap])
        for j in range(len(gain)):
            for unit in np.ndindex(streams, initialisations):
                value = learned(union, gap, gain[j] * rng.uniform(0.9, 1.1), half_life[j])
                here = (unit[0], i, j, unit[1])
                loss[(*here, slice(None), 1)] = GUESSING * (1 - value)
                grams[here] = gram(union, gap, j, rng, rests, left_out)
                loss[here][absent], grams[here][absent] = np.nan, np.nan
    dims = base["loss"].dims
    labels = {"block": list(BLOCKS), "vector": vectors, "other": vectors}
    weights = np.where(np.isnan(grams[..., 0, 0]), np.nan, WEIGHTS)
    found = base.assign(
        block_weights=((*dims[:-1], "block"), weights.astype(np.float32)),
        loss=(dims, loss.astype(np.float32)),
        gram=((*dims[:-1], *labels), grams.astype(np.float32)),
    )
    return made_exposures.with_bursts(found.assign_coords(labels))


def with_sham(results, rests=(-0.02, -0.02, -0.02), **options):
    """A study beside the same with the task left out, in which g_nt has these cosines with g_r."""
    shape = {"streams": results.sizes["stream"], "initialisations": results.sizes["initialisation"]}
    null = study(tuple(results["gap"].values.tolist()), **shape, rests=rests, left_out=True)
    null = null.assign(exposure_step=null["exposure_step"] * np.nan, **options)
    both = xr.concat([results, null], "left_out", data_vars="all", join="exact")
    both = both.assign_coords(left_out=["()", "(-1,)"])
    return both.transpose("stream", "gap", "left_out", "size", ...)


def calibration(peaks, gain, streams=2, initialisations=1):
    """Results over the peak of the learning rate; `gain` gives that of peak and size."""
    parts = [
        study((20,), [gain(p, size) for size in range(3)], streams=streams,
              initialisations=initialisations, half_life=(3.0,) * 3).isel(gap=0)
        for p in peaks
    ]  # fmt: skip
    along = xr.DataArray(list(peaks), dims="peak", name="peak")
    joined = xr.concat(parts, along, data_vars="all", coords="minimal", compat="override")
    return joined.assign(finished=joined["finished"].transpose("stream", "peak")).transpose(
        "stream", "peak", ...
    )
