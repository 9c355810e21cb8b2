"""Results of studies whose truth is planted: as the paper says, or broken on purpose."""

import made_exposures
import numpy as np
import pytest
import xarray as xr

from rare_retention.theory import interference, utility

UNITS = ("stream", "size", "initialisation")
NOISE = 1e-3


def _sizes(widths):
    """Coordinates along `size` of students named by their widths."""
    return {
        "size": list(widths),
        "width": ("size", list(widths)),
        "parameters": ("size", [100 * width for width in widths]),
    }


def _mixture(beta, exponents, tasks, block):
    prior = utility.power_prior(tasks, beta)
    alphas = np.linspace(exponents[1], exponents[0], tasks)
    return prior, np.stack([utility.power_spectrum(block, alpha) for alpha in alphas])


def _mixed_point(
    beta=1.5,
    exponents=(2.0, 2.0),
    tasks=8,
    block=8,
    widths=(2, 4, 8, 16, 32, 48),
    streams=2,
    initialisations=2,
    seed=0,
):
    """Students of a mixture in which nothing is withheld; they end as Theorem 3 says."""
    rng = np.random.default_rng(seed)
    prior, spectra = _mixture(beta, exponents, tasks, block)
    common = utility.common_set(prior)
    inputs = 2 * tasks * block
    steps = np.array([0, 400, 500, 800, 1000])
    lead = (streams, len(widths), initialisations, len(steps))
    counts = np.stack([utility.retained(prior, spectra, n) for n in widths])
    final = utility.predicted_signal(spectra, counts)
    signal = np.empty((*lead, tasks))
    signal[:] = final[None, :, None, None]
    signal[:, :, :, 0] = np.array(widths)[None, :, None, None] / inputs
    signal = (signal + rng.normal(0, NOISE, signal.shape)).clip(0, 1)
    loss = (1 - signal) * spectra.sum(1)
    residual = (loss * prior)[..., common].sum(-1).clip(0)
    bound = 2 * np.sqrt(interference.common_spectrum(prior, spectra, common)[0] * residual)
    cosine = 1 / np.array(widths)[None, :, None, None] * rng.uniform(0.9, 1.1, lead)
    change = rng.normal(0, 1, lead)
    change[..., 0] = np.nan
    reference = 5 + np.nan_to_num(change).cumsum(-1)
    told = 0.9 + 1e-5 * np.arange(streams)[:, None, None, None]
    dims = (*UNITS, "step")
    return xr.Dataset(
        {
            "signal": ((*dims, "task"), signal.astype(np.float32)),
            "loss": ((*dims, "task"), loss.astype(np.float32)),
            "residual": (dims, residual.astype(np.float32)),
            "basis_bound": (dims, bound.astype(np.float32)),
            "basis_gradient": (dims, (0.7 * bound).astype(np.float32)),
            "cosine": ((*dims, "watch"), cosine.astype(np.float32)[..., None]),
            "reference": ((*dims, "watch"), reference.astype(np.float32)[..., None]),
            "predicted_change": (
                (*dims, "watch"),
                (told * change).astype(np.float32)[..., None],
            ),
            "frequency": ("task", prior),
            "spectrum": (("task", "direction"), spectra),
            "is_withheld": ("task", np.zeros(tasks)),
            "exposure_step": (
                ("stream", "watch", "exposure"),
                np.tile(np.arange(1001.0), (streams, 1, 1)),  # in every batch
            ),
            "finished": (("stream",), np.ones(streams, bool)),
        },
        {
            "stream": np.arange(streams),
            **_sizes(widths),
            "initialisation": np.arange(initialisations),
            "step": steps,
            "task": [f"regression {k + 1}" for k in range(tasks)],
            "watch": [f"regression {tasks}"],
            "gap": 1,
        },
        {"inputs": inputs},
    )


def _mixed(betas=(1.2, 1.5), **options):
    """The same over a grid of prior exponents."""
    parts = [_mixed_point(beta, seed=i, **options) for i, beta in enumerate(betas)]
    joined = xr.concat(
        parts,
        xr.DataArray(list(betas), dims="prior_exponent", name="prior_exponent"),
        data_vars="all",
        coords="minimal",
        compat="override",
        join="exact",
        combine_attrs="override",
    )
    return joined.transpose("stream", "prior_exponent", "size", ...)


def narrow(gap, cycle):
    """Start and peak of a cycle of a student that gains 0.3 and loses it all again."""
    start = 0.05 * 16 / gap
    return start, start + 0.3


def middle(gap, cycle):
    """A student that holds less the longer the gap."""
    start = 0.5 * (16 / gap) ** 0.5 * (1 - np.exp(-(cycle + 1) * gap / 100))
    return start, start + 0.2


def wide(gap, cycle):
    """A student that keeps 0.9 of what it gains, until it has everything, whatever the gap."""
    start, after = (0.95 * (1 - np.exp(-(cycle + i) * gap / 100)) for i in (0, 1))
    return start, start + (after - start) / 0.9


def _burst(
    students=(narrow, middle, wide),
    gaps=(16, 64),
    lag=3,
    frequent=lambda gap: 0.98,
    streams=2,
    initialisations=2,
    seed=0,
):
    """Students that lose a rare task between exposures; four cycles are measured densely."""
    rng = np.random.default_rng(seed)
    length, tasks = 1024, 4
    widths = [8 * 2**i for i in range(len(students))]
    values = {gap: _saw_teeth(students, gap, length, lag) for gap in gaps}
    steps = np.unique(np.concatenate([at for at, _ in values.values()]))
    shape = (streams, len(gaps), len(widths), initialisations, len(steps), tasks)
    signal = np.full(shape, np.nan)
    for i, (gap, (at, rare)) in enumerate(values.items()):
        here = np.searchsorted(steps, at)
        signal[:, i, :, :, here, :] = 0.5
        signal[:, i, :, :, here, 0] = frequent(gap)
        signal[:, i, :, :, here, -1] = rare.T[:, None, :, None]
    signal += rng.normal(0, NOISE, signal.shape)
    results = xr.Dataset(
        {
            "signal": (
                ("stream", "gap", "size", "initialisation", "step", "task"),
                signal.astype(np.float32),
            ),
            "frequency": (
                ("gap", "task"),
                np.tile(utility.power_prior(tasks, 2.0), (len(gaps), 1)),
            ),
            "finished": (("stream", "gap"), np.ones((streams, len(gaps)), bool)),
        },
        {
            "stream": np.arange(streams),
            "gap": list(gaps),
            **_sizes(widths),
            "initialisation": np.arange(initialisations),
            "step": steps,
            "task": [f"regression {k + 1}" for k in range(tasks)],
            "watch": [f"regression {tasks}"],
        },
        {"inputs": 256},
    )
    return made_exposures.with_bursts(results)


def _saw_teeth(students, gap, length, lag):
    """Measured steps [S] and signals [width, S] of the rare task."""
    last = length // gap - 2
    cycles = [0, 1, 2, last]
    offsets = np.array([-1, *range(8), gap // 2, gap - 1])
    at = np.unique([(c + 1) * gap + offsets for c in cycles])
    at = np.unique([0, *at, length])
    rows = []
    for student in students:
        row = []
        for step in at:
            cycle, offset = step // gap - 1, step % gap
            start, peak = student(gap, cycle)
            after = student(gap, cycle + 1)[0]
            rise = np.interp(offset, [-1, lag, gap - 1], [start, peak, after])
            row.append(rise if cycle >= 0 else student(gap, 0)[0])
        rows.append(row)
    return at, np.array(rows)


def _competition(one=0.03, two=0.98, streams=2, initialisations=2):
    """One neuron on the common task, two on both; alignment [..., task (common, rare)]."""
    rng = np.random.default_rng(0)
    final = np.array([[0.97, one], [0.99, two]])
    steps = np.array([0, 100, 800, 1000])
    start = np.full((2, 2), 0.4)
    values = np.stack([start, start, final, final], axis=1)
    full = np.broadcast_to(values[None, :, None], (streams, 2, initialisations, 4, 2))
    full = full + rng.normal(0, NOISE, full.shape)
    return xr.Dataset(
        {
            "alignment": ((*UNITS, "step", "task"), full.astype(np.float32)),
            "loss": ((*UNITS, "step", "task"), (1 - full).astype(np.float32)),
            "finished": (("stream",), np.ones(streams, bool)),
        },
        {
            "stream": np.arange(streams),
            **_sizes([1, 2]),
            "initialisation": np.arange(initialisations),
            "step": steps,
            "task": ["common", "rare"],
            "gap": 1,
        },
    )


@pytest.fixture(scope="session")
def mixed():
    """Function that makes results of a study over two priors, without withheld tasks."""
    return _mixed


@pytest.fixture(scope="session")
def burst():
    """Function that makes results of a study over two gaps."""
    return _burst


@pytest.fixture(scope="session")
def under():
    """Function that joins results of `burst` by name along an axis of optimizers."""

    def joined(**arms):
        found = xr.concat(arms.values(), "optimizer", data_vars="all", join="exact")
        own = next(iter(arms.values()))
        return found.assign(frequency=own["frequency"]).assign_coords(optimizer=list(arms))

    return joined


@pytest.fixture(scope="session")
def students():
    """How the students of `burst` move through a cycle: the narrow, middle and wide one."""
    return narrow, middle, wide


@pytest.fixture(scope="session")
def competition():
    """Function that makes results of the competition of two tasks for one and two neurons."""
    return _competition
