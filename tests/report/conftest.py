"""Studies made up from the theory and some noise, in the form in which real ones are stored."""

import dataclasses
import itertools
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import made_arms
import made_block_effects
import made_branches
import made_exposures
import made_injection
import made_language
import made_parity
import made_representation
import made_scaling
import numpy as np
import pytest
import xarray as xr

from rare_retention.theory import interference, utility

Mixture = tuple[np.ndarray, np.ndarray]
Values = dict[str, np.ndarray]

STUDENT = ("stream", "size", "initialisation", "step")
DIMS = {
    "loss": "task",
    "signal": "task",
    "cosine": "watch",
    "reference": "watch",
    "predicted_change": "watch",
}


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a made-up study."""

    inputs: int = 128
    tasks: int = 8
    block: int = 8
    widths: tuple[int, ...] = (2, 4, 8, 16, 32, 48)
    streams: int = 2
    initialisations: int = 2


def sizes(widths: tuple[int, ...]) -> dict[str, Any]:
    """Coordinates along `size` of students named by their widths."""
    return {
        "size": list(widths),
        "width": ("size", list(widths)),
        "parameters": ("size", [100 * width for width in widths]),
    }


def mixture(shape: Shape, beta: float, exponents: tuple[float, float] = (2.0, 2.0)) -> Mixture:
    alphas = np.linspace(exponents[1], exponents[0], shape.tasks)
    spectra = np.stack([utility.power_spectrum(shape.block, a) for a in alphas])
    return utility.power_prior(shape.tasks, beta), spectra


def learning(shape: Shape, mix: Mixture, steps: np.ndarray, rng: np.random.Generator) -> Values:
    """Signals that rise to the predicted ones, the more frequent task the sooner."""
    prior, spectra = mix
    n = np.stack([utility.retained(prior, spectra, w) for w in shape.widths])
    target = utility.predicted_signal(spectra, n)[None, :, None, None]
    runs = (shape.streams, len(shape.widths), shape.initialisations)
    start = np.array(shape.widths)[None, :, None, None, None] / shape.inputs
    pace = 60 * np.exp(0.2 * rng.standard_normal(runs))[..., None, None]
    grown = 1 - np.exp(-steps[:, None] * pace * np.sqrt(prior) / max(steps[-1], 1))
    noise = 0.01 * np.abs(rng.standard_normal((*runs, len(steps), shape.tasks)))
    signal = np.clip(start + (target - start) * grown - noise * target * grown, 0, 1)
    total = spectra.sum(1)
    loss = total * (1 - signal) * (1 + 0.1 * np.exp(-40 * grown))
    return derived(shape, mix, {"signal": signal, "loss": loss}, rng)


def derived(shape: Shape, mix: Mixture, values: Values, rng: np.random.Generator) -> Values:
    """Adds what follows from losses and signals."""
    prior, spectra = mix
    common = utility.common_set(prior)
    floor = np.array([interference.residual_floor(prior, spectra, common, w) for w in shape.widths])
    left = ((prior * spectra.sum(1))[common] * (1 - values["signal"][..., common])).sum(-1)
    residual = np.maximum(left, floor[None, :, None, None]) * 1.02
    bound = 2 * np.sqrt(prior[0] * spectra[0, 0] * residual)
    reference = values["loss"][..., -1:]
    change = np.diff(reference, axis=-2, prepend=np.nan)
    small = np.array(shape.widths)[None, :, None, None, None] ** -0.5
    scatter = rng.standard_normal(reference.shape)
    return values | {
        "residual": residual,
        "basis_bound": bound,
        "basis_gradient": bound * rng.uniform(0.2, 0.9, bound.shape),
        "common_gradient": bound * rng.uniform(0.2, 1.1, bound.shape),
        "cosine": 0.8 * small * np.tanh(scatter),
        "reference": reference,
        "predicted_change": change * 0.95 + 1e-3 * np.nanstd(change) * scatter,
    }


def sawtooth(
    shape: Shape, mix: Mixture, steps: np.ndarray, gap: int, rng: np.random.Generator
) -> Values:
    """A rare signal that injections raise within a few steps and training lowers between them."""
    values = learning(shape, mix, steps, rng)
    memory = np.array(shape.widths) * 8.0  # steps that a gain is kept
    room = np.linspace(0.35, 0.97, len(shape.widths))
    since = np.arange(steps[-1] + 1) % gap
    state = np.zeros((shape.streams, len(shape.widths), shape.initialisations))
    push = np.exp(0.15 * rng.standard_normal(state.shape)) * 0.012 * gap**0.35
    tilde = np.empty((*state.shape, len(steps)))
    memory, room = memory[None, :, None], room[None, :, None]
    places = {int(s): i for i, s in enumerate(steps)}
    for step in range(steps[-1] + 1):
        if step >= gap and since[step] < 12:  # Adam's momentum spreads an injection
            state = state + push * np.exp(-since[step] / 4) * (room - state)
        state = state * np.exp(-1 / (memory * 10 * (0.2 + state)))
        if step in places:
            tilde[..., places[step]] = state
    chance = np.array(shape.widths)[None, :, None, None] / shape.inputs
    values["signal"][..., -1] = chance + tilde * (1 - chance)
    values["loss"][..., -1] = mix[1][-1].sum() * (1 - values["signal"][..., -1])
    return derived(shape, mix, {k: values[k] for k in ("signal", "loss")}, rng)


def burst_steps(total: int, gap: int, cycles: int, every: int) -> np.ndarray:
    """Regular steps and, about some exposures, the step before and log-spaced ones after."""
    steps = set(range(0, total + 1, every)) | {total}
    count = total // gap
    for c in np.unique(np.linspace(0, count - 2, cycles).round().astype(int)):
        before = (c + 1) * gap - 1
        offsets = {0, 1, gap} | set((2 ** (np.arange(1, 40) / 2)).astype(int).tolist())
        steps |= {before + o for o in offsets if o <= gap}
    return np.array(sorted(steps))


def assemble(
    shape: Shape,
    cells: dict[tuple[Any, ...], tuple[Mixture, np.ndarray, Values]],
    dims: tuple[str, ...],
    **extra: Any,
) -> xr.Dataset:
    """One Dataset of all grid points, over the union of their steps."""
    union = np.array(sorted(set(itertools.chain(*(steps for _, steps, _ in cells.values())))))
    parts = []
    for place, (mix, steps, values) in cells.items():
        at = dict(zip(dims, place, strict=True))
        data = {
            name: ((*STUDENT, DIMS[name]) if name in DIMS else STUDENT, value.astype(np.float32))
            for name, value in values.items()
        }
        part = xr.Dataset(data, {"step": steps}).reindex(step=union)
        part["frequency"], part["spectrum"] = ("task", mix[0]), (("task", "direction"), mix[1])
        part["step_rows"] = part["step_tokens"] = ((), 64.0)
        part["finished"] = ("stream", np.ones(shape.streams, bool))
        parts.append(part.expand_dims({name: [value] for name, value in at.items()}))
    results = xr.combine_by_coords(parts) if dims else parts[0]
    order = ("stream", *dims, "size", "initialisation", "step", "task", "watch", "direction")
    results = results.assign_coords(
        stream=np.arange(shape.streams),
        **sizes(shape.widths),
        initialisation=np.arange(shape.initialisations),
        task=(names := [f"regression {k + 1}" for k in range(shape.tasks)]),
        watch=names[-1:],
    ).transpose(*order)
    if "gap" not in dims:
        results = results.assign_coords(gap=1)
    return results.assign_attrs(
        name="made_up",
        question="Does it draw?\n\nIt is made up.",
        inputs=shape.inputs,
        steps=int(union[-1]),
        study=json.dumps({"run": {"batch": 64}}),
        **extra,
    )


def sweep(
    shape: Shape | None = None,
    betas: tuple[float, ...] = (1.0, 2.0),
    seed: int = 0,
    steps: np.ndarray | None = None,
) -> xr.Dataset:
    shape, rng = shape or Shape(), np.random.default_rng(seed)
    steps = np.array([0, 50, 100, 200, 400]) if steps is None else steps
    cells = {
        (b,): (mix, steps, learning(shape, mix, steps, rng))
        for b in betas
        for mix in [mixture(shape, b)]
    }
    return assemble(shape, cells, ("prior_exponent",))


def horizon() -> xr.Dataset:
    return sweep(Shape(widths=(2, 8, 32)), betas=(2.0,))


def spectra(
    shape: Shape | None = None,
    exponents: tuple[tuple[float, float], ...] = ((2.0, 2.0), (1.2, 4.0)),
) -> xr.Dataset:
    shape, rng, steps = shape or Shape(), np.random.default_rng(1), np.array([0, 100, 400])
    cells = {
        (str(e),): (mix, steps, learning(shape, mix, steps, rng))
        for e in exponents
        for mix in [mixture(shape, 1.0, e)]
    }
    return assemble(shape, cells, ("spectrum_exponents",))


def retention(
    shape: Shape | None = None, gaps: tuple[int, ...] = (16, 64), total: int = 640, every: int = 40
) -> xr.Dataset:
    shape, rng = shape or Shape(widths=(4, 16, 48)), np.random.default_rng(2)
    mix = mixture(shape, 2.0)
    cells = {}
    for gap in gaps:
        steps = burst_steps(total, gap, 3, every)
        cells[gap,] = (mix, steps, sawtooth(shape, mix, steps, gap, rng))
    return made_exposures.with_bursts(assemble(shape, cells, ("gap",)))


def ranks(shape: Shape | None = None) -> xr.Dataset:
    shape = shape or Shape(tasks=12, block=1, inputs=64, widths=(1, 2, 4, 6, 9, 12))
    mix, steps = mixture(shape, 2.0), np.array([0, 100, 400])
    values = learning(shape, mix, steps, np.random.default_rng(3))
    return assemble(shape, {(): (mix, steps, values)}, ())


def neurons(streams: int = 3, total: int = 200) -> xr.Dataset:
    """Angles pulled back by common steps and pushed on by rare ones every tenth step."""
    rng, rate = np.random.default_rng(4), 0.03
    angle = np.empty((streams, 2, 1, total + 1, 2))
    angle[..., 0, :] = 0.9 + 0.1 * rng.standard_normal((streams, 2, 1, 2))
    for t in range(total):
        now = angle[..., t, :]
        sign = 1.0 if t % 10 == 9 else -1.0
        moved = now + sign * rate * np.sin(2 * now)
        moved[:, 1, :, 1] = (now + rate * np.sin(2 * now))[:, 1, :, 1]  # the gate frees neuron 2
        angle[..., t + 1, :] = moved
    angle[:, 0, :, :, 1] = np.nan  # a single neuron has one angle
    common, rare = np.nanmax(np.cos(angle) ** 2, -1), np.nanmax(np.sin(angle) ** 2, -1)
    alignment = np.stack([common, rare], -1)
    lead = (*STUDENT, "task")
    return xr.Dataset(
        {
            "alignment": (lead, alignment.astype(np.float32)),
            "loss": (lead, (1 - alignment).astype(np.float32)),
            "angle": ((*STUDENT, "neuron"), angle.astype(np.float32)),
            "frequency": ("task", [0.9, 0.1]),
            "step_rows": ((), 1.0),
            "step_tokens": ((), 1.0),
            "finished": ("stream", np.ones(streams, bool)),
        },
        {
            "stream": np.arange(streams),
            **sizes((1, 2)),
            "initialisation": [0],
            "step": np.arange(total + 1),
            "task": ["common", "rare"],
            "gap": 1,
        },
        {
            "name": "neurons",
            "question": "One or two?",
            "inputs": 2,
            "steps": total,
            "study": "{}",
        },
    )


def language() -> xr.Dataset:
    return made_language.language(rates=(2.4e-5, 2.4e-7))


def evidence() -> xr.Dataset:
    return made_representation.representation(rates=(2.4e-5, 2.4e-7))


def without(results: xr.Dataset, **place: Any) -> xr.Dataset:
    """The results of a study that lost the students at `place`.

    A point of the grid of which nothing is left has not even the constants of its mixture.
    """
    lost = results.copy(deep=True)
    for name, variable in lost.data_vars.items():
        if variable.dtype.kind != "f" or not set(place) <= set(variable.dims):
            continue
        lost[name].loc[place] = np.nan
    if "stream" in place and not set(place) & {"size", "initialisation"}:
        lost["finished"].loc[place] = False
    return lost


def verdict(**changes: Any) -> dict[str, Any]:
    """A judged claim as claims.json has it."""
    return {
        "claim": "small_loses_most_in_a_gap",
        "statement": "A narrow student loses most of what it gained.",
        "source": "Fig. 4a",
        "statistic": "Share of the gains that is left at the next exposure.",
        "kind": "claim",
        "account": "retention",
        "against": "It still has most of it.",
        "interval": "95% t interval",
        "verdict": "holds",
        "estimate": 0.1234,
        "low": 0.08,
        "high": 0.17,
        "relation": "<=",
        "threshold": 0.5,
        "units": 3,
        "covers": "streams",
        "differ": "batches alone",
        "streams": 3,
        "initialisations": 2,
        "note": "",
        "p": 0.001,
        "together": changes.get("verdict", "holds"),
    } | changes


def drawn_arms() -> xr.Dataset:
    results = made_arms.results(made_arms.FORGOTTEN, widths=made_arms.WIDTHS)
    return results.assign(loss=1 - results["signal"])


MAKERS: dict[str, Callable[[], xr.Dataset]] = {
    "phase_diagram": sweep,
    "observed_vs_predicted": sweep,
    "residual_axis": sweep,
    "injection": retention,
    "gap_width": retention,
    "competition": neurons,
    "parity": made_parity.parity,
    "branches": made_branches.results,
    "arms": drawn_arms,
    "complexity": spectra,
    "rank_one": ranks,
    "long_horizon": horizon,
    "interference": retention,
    "interference_by_block": made_block_effects.study,
    "size_frequency": language,
    "learning_curves": language,
    "injection_gap": made_language.gaps,
    "task_text": language,
    "task_compute": language,
    "loss_change": made_injection.study,
    "gradient_cosines": made_injection.study,
    "probe_r2": evidence,
    "fourier_modes": evidence,
    "alignment": evidence,
    "null_intervention": evidence,
    "scaling_law": made_scaling.ladder,
}


@pytest.fixture(scope="session")
def study() -> Callable[[str], xr.Dataset]:
    """Function of a figure's name that gives results it can draw; they are the caller's own."""
    made: dict[Any, xr.Dataset] = {}

    def get(name: str) -> xr.Dataset:
        maker = MAKERS[name]
        if maker not in made:
            made[maker] = maker()
        return made[maker].copy(deep=True)

    return get


@pytest.fixture(scope="session")
def lose() -> Callable[..., xr.Dataset]:
    """Function of results and a place, such as `stream=1`, that removes the students there."""
    return without


@pytest.fixture(scope="session")
def judged() -> Callable[..., dict[str, Any]]:
    """Function of changed values that gives a judged claim."""
    return verdict


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """The makers of whole studies, for tests that need another shape."""
    return SimpleNamespace(
        Shape=Shape, sweep=sweep, spectra=spectra, retention=retention, ranks=ranks, neurons=neurons
    )
