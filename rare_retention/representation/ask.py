"""Evidence of one kind from every model on every task."""

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rare_retention.models.language_model import LanguageModel
from rare_retention.representation import das, fourier, neurons
from rare_retention.representation.kinds import KINDS, Options, Subject
from rare_retention.representation.probe import probe
from rare_retention.representation.residuals import activations
from rare_retention.representation.scores import label_scores
from rare_retention.settings.quantity import Quantity

Values = dict[str, NDArray[np.float64] | float]

_STUDENT = ("size", "initialisation", "task")
_CONTEXTS = 5  # instances of each symbol that a probe reads where it sees both tokens
_NEURONS = 32  # neurons of a layer that are named


def measure(
    kind: str,
    models: Mapping[str, Sequence[LanguageModel]],
    subjects: Mapping[str, Subject],
    options: Options,
) -> xr.Dataset:
    """One kind of evidence on every model and task.

    Args:
        kind: key of `KINDS`.
        models: size -> its models, from small to large, one for each initialisation.
        subjects: name of each task -> the task.
        options: where and how it is looked for.

    Returns:
        The kind's measures, float64 (size, initialisation, task, ...); NaN where a task cannot be
        asked, or a model has no such layer. Their attribute `options` says as JSON what was asked.
    """
    asked, sizes = KINDS[kind], _sizes(models, subjects)
    arrays = {
        name: np.full([sizes[dim] for dim in (*_STUDENT, *each.dims)], np.nan)
        for name, each in asked.quantities.items()
    }
    for i, group in enumerate(models.values()):
        for j, model in enumerate(group):
            for k, each in enumerate(subjects.values()):
                for name, value in ASK[kind](model, each, options).items():
                    found = np.asarray(value)
                    place: tuple[int | slice, ...] = (i, j, k, *map(slice, found.shape))
                    arrays[name][place] = found
    coordinates = {
        "size": list(models),
        "initialisation": np.arange(sizes["initialisation"]),
        "task": list(subjects),
        "layer": np.arange(1, sizes["layer"] + 1),
    }
    read = json.dumps(asked.read(options))
    used = {dim for each in asked.quantities.values() for dim in (*_STUDENT, *each.dims)}
    shapes = [group[0].shape for group in models.values()]
    return xr.Dataset(
        {
            name: ((*_STUDENT, *each.dims), arrays[name], _described(each) | {"options": read})
            for name, each in asked.quantities.items()
        },
        {
            name: (name, values, {"units": "1"})
            for name, values in coordinates.items()
            if name in used
        }
        | {
            "width": ("size", [shape.hidden for shape in shapes], {"units": "hidden units"}),
            "parameters": ("size", [shape.parameters for shape in shapes], {"units": "weights"}),
        },
    )


def _sizes(
    models: Mapping[str, Sequence[LanguageModel]], subjects: Mapping[str, Subject]
) -> dict[str, int]:
    """Places along every dimension that a measure may have: of the largest model and task."""
    groups = list(models.values())
    labels = [each.tokens[..., -1] for each in subjects.values()]
    return {
        "size": len(models),
        "initialisation": max(map(len, groups)),
        "task": len(subjects),
        "layer": max(group[0].shape.layers for group in groups),
        "neuron": _NEURONS,
        "pair": max(own.size for own in labels),
        "label": max(len(np.unique(own)) for own in labels),
    }


def _described(each: Quantity) -> dict[str, str]:
    return {"units": each.unit, "long_name": each.meaning}


def _probe(model: LanguageModel, task: Subject, options: Options) -> Values:
    """Instances are those of each symbol with some others before it; TOK1 sees none of them."""
    count = len(task.tokens)
    contexts = 1 if options.position == 0 else min(_CONTEXTS, count)
    rng = np.random.default_rng(0)
    symbol = np.arange(count).repeat(contexts)
    other = np.concatenate([rng.permutation(count)[:contexts] for _ in range(count)])
    pair = (symbol, other) if options.position == 0 else (other, symbol)
    residuals = activations(model, task.tokens[*pair, :2], (options.position,))
    found = probe(residuals[:, options.layer, 0], symbol, symbol, options.components)
    return {
        "r2": found.r2,
        "r2_in_sample": found.in_sample,
        "probe_components": float(found.components),
    }


def _fourier(model: LanguageModel, task: Subject, options: Options) -> Values:
    if not task.cyclic:
        return {}
    pairs = task.tokens[..., :2]
    return {
        "modes": fourier.count(model, pairs),
        "modes_by_chance": fourier.count_by_chance(model, pairs, fourier.RELABELLINGS),
    }


def _das(model: LanguageModel, task: Subject, options: Options) -> Values:
    place = (options.layer, options.position, options.dimensions, options.pairs)
    found = das.search(model, task.tokens, *place)
    return {
        "alignment": found.success,
        "alignment_random": found.random,
        "alignment_whole": found.whole,
        "alignment_pairs": float(found.counted),
    }


def _neurons(model: LanguageModel, task: Subject, options: Options) -> Values:
    found = neurons.null_effects(model, task.tokens)
    named = neurons.task_neurons(model, task.tokens, found.strongest, _NEURONS)
    return {
        "null_effect": found.scores,
        "null_loss": found.loss,
        "task_neuron": named.astype(np.float64),
    }


def _scores(model: LanguageModel, task: Subject, options: Options) -> Values:
    """Pairs in the order of TOK1 and then TOK2."""
    del options
    flat = task.tokens.reshape(-1, task.tokens.shape[-1])
    _, right = np.unique(flat[:, -1], return_inverse=True)
    known = np.full(len(flat), np.nan) if task.trained is None else task.trained.ravel()
    return {
        "label_score": label_scores(model, flat).astype(np.float64),
        "right_label": right.astype(np.float64),
        "trained_on": known.astype(np.float64),
    }


ASK: dict[str, Callable[[LanguageModel, Subject, Options], Values]] = {
    "probe": _probe,
    "fourier": _fourier,
    "das": _das,
    "neurons": _neurons,
    "scores": _scores,
}
"""What each kind of `KINDS` finds in a model that is asked about a task."""
