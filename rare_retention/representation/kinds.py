"""The kinds of evidence, and what each of them measures of a set of models."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rare_retention.config import ConfigError, config, to_dict
from rare_retention.models.olmo import Architecture, Olmo
from rare_retention.representation import das, fourier, neurons
from rare_retention.representation.probe import COMPONENTS, probe
from rare_retention.representation.residuals import activations
from rare_retention.settings.protocol import Measure
from rare_retention.tasks.injected import Injected, Instances
from rare_retention.tasks.modular_addition import ModularAddition

VERSION = 3
"""Of how evidence is measured; another one measures it all again."""

_CONTEXTS = 5  # instances of each symbol that a probe reads where it sees both tokens
_NEURONS = 32  # neurons of a layer that are named


@config
class Options:
    """Where and how finely evidence is looked for; each kind reads some of these.

    Attributes:
        layer: state that is probed or searched: 0 is the embedding, l what layer l has left.
        position: token whose value is probed or searched, 0 for TOK1 and 1 for TOK2.
        components: most principal components of a probe.
        dimensions: of the subspace that a search finds.
        pairs: interventions that a search learns from; as many fresh ones are scored.
    """

    layer: int = 1
    position: int = 0
    components: int = COMPONENTS
    dimensions: int = 1
    pairs: int = das.PAIRS

    def __post_init__(self) -> None:
        if self.layer < 0:
            raise ConfigError("layer", f"expected at least 0, the embedding, got {self.layer}")
        if self.position not in (0, 1):
            raise ConfigError(
                "position", f"expected 0, for TOK1, or 1, for TOK2, got {self.position}"
            )
        for name in ("components", "dimensions", "pairs"):
            if getattr(self, name) < 1:
                raise ConfigError(name, f"expected at least 1, got {getattr(self, name)}")


class Subject(NamedTuple):
    """A task as evidence asks about it.

    Attributes:
        tokens: TOK1, TOK2 and LABEL of all pairs of values [S, S, 3].
        cyclic: whether the label is the sum of the values modulo S.
    """

    tokens: NDArray[np.int32]
    cyclic: bool


def subject(task: Injected, found: Instances) -> Subject:
    """A task and its instances."""
    tokens = found.tokens.reshape(task.symbols, task.symbols, -1)
    return Subject(tokens, isinstance(task, ModularAddition))


Values = dict[str, NDArray[np.float64] | float]


class Kind(NamedTuple):
    """A kind of evidence.

    Attributes:
        measure: what a model makes of a task.
        options: fields of `Options` that it reads.
        measures: what `measure` returns; a dimension `layer` counts layers from 1.
    """

    measure: Callable[[Olmo, Subject, Options], Values]
    options: tuple[str, ...]
    measures: dict[str, Measure]

    def read(self, options: Options) -> dict[str, Any]:
        """The options that this kind reads."""
        return {name: value for name, value in to_dict(options).items() if name in self.options}


def check(
    options: Options,
    kinds: Sequence[str],
    shapes: Mapping[str, Architecture],
    subjects: Sequence[Subject],
) -> None:
    """Checks that models and tasks have what is asked for.

    Args:
        options: what is asked for.
        kinds: keys of `KINDS`.
        shapes: name of each size -> its architecture.
        subjects: the tasks.

    Raises:
        ConfigError: a layer, a subspace or pairs that there are not.
    """
    read = {name for kind in kinds for name in KINDS[kind].options}
    for name, shape in shapes.items():
        if "layer" in read and options.layer > shape.layers:
            raise ConfigError(
                "layer",
                f"expected 0 to {shape.layers}, the layers of {name}, got {options.layer}",
            )
        if "dimensions" in read and options.dimensions > shape.hidden:
            raise ConfigError(
                "dimensions",
                f"the residual stream of {name} has {shape.hidden}; expected 1 to "
                f"{shape.hidden}, got {options.dimensions}",
            )
    for each in subjects:
        if "pairs" in read:
            das.check_pairs(len(each.tokens), options.position, options.pairs)


def measure(
    kind: str,
    models: Mapping[str, Sequence[Olmo]],
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
    asked = KINDS[kind]
    draws = max(len(group) for group in models.values())
    sizes = {"size": len(models), "initialisation": draws, "task": len(subjects)}
    sizes |= {"layer": max(group[0].shape.layers for group in models.values())}
    sizes |= {"neuron": _NEURONS}
    arrays = {
        name: np.full([sizes[dim] for dim in (*_STUDENT, *each.dims)], np.nan)
        for name, each in asked.measures.items()
    }
    for i, group in enumerate(models.values()):
        for j, model in enumerate(group):
            for k, each in enumerate(subjects.values()):
                for name, value in asked.measure(model, each, options).items():
                    found = np.asarray(value)
                    place: tuple[int | slice, ...] = (i, j, k, *map(slice, found.shape))
                    arrays[name][place] = found
    coordinates = {
        "size": list(models),
        "initialisation": np.arange(draws),
        "task": list(subjects),
        "layer": np.arange(1, sizes["layer"] + 1),
    }
    read = json.dumps(asked.read(options))
    used = {dim for each in asked.measures.values() for dim in (*_STUDENT, *each.dims)}
    shapes = [group[0].shape for group in models.values()]
    return xr.Dataset(
        {
            name: ((*_STUDENT, *each.dims), arrays[name], _described(each) | {"options": read})
            for name, each in asked.measures.items()
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


_STUDENT = ("size", "initialisation", "task")


def _described(each: Measure) -> dict[str, str]:
    return {"units": each.unit, "long_name": each.meaning}


def _probe(model: Olmo, task: Subject, options: Options) -> Values:
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


def _fourier(model: Olmo, task: Subject, options: Options) -> Values:
    if not task.cyclic:
        return {}
    pairs = task.tokens[..., :2]
    return {
        "modes": fourier.count(model, pairs),
        "modes_by_chance": fourier.count_by_chance(model, pairs, fourier.RELABELLINGS),
    }


def _das(model: Olmo, task: Subject, options: Options) -> Values:
    place = (options.layer, options.position, options.dimensions, options.pairs)
    found = das.search(model, task.tokens, *place)
    return {
        "alignment": found.success,
        "alignment_random": found.random,
        "alignment_whole": found.whole,
        "alignment_pairs": float(found.counted),
    }


def _neurons(model: Olmo, task: Subject, options: Options) -> Values:
    found = neurons.null_effects(model, task.tokens)
    named = neurons.task_neurons(model, task.tokens, found.strongest, _NEURONS)
    return {
        "null_effect": found.scores,
        "null_loss": found.loss,
        "task_neuron": named.astype(np.float64),
    }


KINDS: dict[str, Kind] = {
    "probe": Kind(
        _probe,
        ("layer", "position", "components"),
        {
            "r2": Measure((), "share", "R^2 of val(TOK), cross-validated over symbols"),
            "r2_in_sample": Measure((), "share", "R^2 of val(TOK) on the symbols it was fitted to"),
            "probe_components": Measure((), "count", "principal components of the probe"),
        },
    ),
    "fourier": Kind(
        _fourier,
        (),
        {
            "modes": Measure(("layer",), "count", "Fourier modes of the sum"),
            "modes_by_chance": Measure(("layer",), "count", "modes of symbols with random values"),
        },
    ),
    "das": Kind(
        _das,
        ("layer", "position", "dimensions", "pairs"),
        {
            "alignment": Measure((), "share", "interchange interventions that succeed"),
            "alignment_random": Measure((), "share", "the same in a random subspace"),
            "alignment_whole": Measure((), "share", "the same with all of the stream replaced"),
            "alignment_pairs": Measure((), "count", "interventions that count"),
        },
    ),
    "neurons": Kind(
        _neurons,
        (),
        {
            "null_effect": Measure(
                ("layer",), "logits", "mean absolute change of the labels' scores without the MLP"
            ),
            "null_loss": Measure(("layer",), "nats", "change of the task's loss without the MLP"),
            "task_neuron": Measure(
                ("neuron",), "index", "neurons of largest task gradient in the strongest layer"
            ),
        },
    ),
}
"""Every kind of evidence by its name."""
