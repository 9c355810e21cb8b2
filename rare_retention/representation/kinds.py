"""The kinds of evidence: what each measures, and where it may be told to look."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rare_retention.config import ConfigError, Natural, Positive, config, to_dict
from rare_retention.models.architecture import Architecture
from rare_retention.representation.pairs import PAIRS, check_pairs
from rare_retention.representation.probe import COMPONENTS
from rare_retention.settings.quantity import Quantity
from rare_retention.tasks.injected import Instances
from rare_retention.tasks.modular_addition import ModularAddition
from rare_retention.tasks.pairs import Pairs

VERSION = 3
"""Of how evidence is measured; another one measures it all again."""


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

    layer: Natural = 1
    position: int = 0
    components: Positive = COMPONENTS
    dimensions: Positive = 1
    pairs: Positive = PAIRS

    def __post_init__(self) -> None:
        if self.position not in (0, 1):
            raise ConfigError(
                "position", f"expected 0, for TOK1, or 1, for TOK2, got {self.position}"
            )


class Subject(NamedTuple):
    """A task as evidence asks about it.

    Attributes:
        tokens: TOK1, TOK2 and LABEL of all pairs of values [S, S, 3].
        cyclic: whether the label is the sum of the values modulo S.
        trained: whether each pair is in the half that is trained on, bool [S, S]; None where that
            is not known.
    """

    tokens: NDArray[np.int32]
    cyclic: bool
    trained: NDArray[np.bool_] | None = None


def subject(task: Pairs, found: Instances) -> Subject:
    """A task and its instances."""
    shape = (task.symbols, task.symbols)
    trained = np.zeros(len(found.tokens), bool)
    trained[found.train] = True
    tokens = found.tokens.reshape(*shape, -1)
    return Subject(tokens, isinstance(task, ModularAddition), trained.reshape(shape))


class Kind(NamedTuple):
    """A kind of evidence.

    Attributes:
        options: fields of `Options` that it reads.
        quantities: what it finds in a model asked about a task; `layer` counts layers from 1.
        by_name: whether it is measured only where it is asked for by its name, since it is large.
    """

    options: tuple[str, ...]
    quantities: dict[str, Quantity]
    by_name: bool = False

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
            check_pairs(len(each.tokens), options.position, options.pairs)


KINDS: dict[str, Kind] = {
    "probe": Kind(
        ("layer", "position", "components"),
        {
            "r2": Quantity((), "share", "R^2 of val(TOK), cross-validated over symbols"),
            "r2_in_sample": Quantity((), "share", "R^2 of val(TOK) on the symbols it learned from"),
            "probe_components": Quantity((), "count", "principal components of the probe"),
        },
    ),
    "fourier": Kind(
        (),
        {
            "modes": Quantity(("layer",), "count", "Fourier modes of the sum"),
            "modes_by_chance": Quantity(("layer",), "count", "modes of symbols with random values"),
        },
    ),
    "das": Kind(
        ("layer", "position", "dimensions", "pairs"),
        {
            "alignment": Quantity((), "share", "interchange interventions that succeed"),
            "alignment_random": Quantity((), "share", "the same in a random subspace"),
            "alignment_whole": Quantity((), "share", "the same with all of the stream replaced"),
            "alignment_pairs": Quantity((), "count", "interventions that count"),
        },
    ),
    "neurons": Kind(
        (),
        {
            "null_effect": Quantity(
                ("layer",), "logits", "mean absolute change of the labels' scores without the MLP"
            ),
            "null_loss": Quantity(("layer",), "nats", "change of the task's loss without the MLP"),
            "task_neuron": Quantity(
                ("neuron",), "index", "neurons of largest task gradient in the strongest layer"
            ),
        },
    ),
    "scores": Kind(
        (),
        {
            "label_score": Quantity(
                ("pair", "label"), "nats", "log of the probability of each label, by its token"
            ),
            "right_label": Quantity(("pair",), "index", "place of the right label"),
            "trained_on": Quantity(
                ("pair",), "1", "1 for a pair of the training half, 0 of the test half"
            ),
        },
        by_name=True,
    ),
}
"""Every kind of evidence by its name."""
