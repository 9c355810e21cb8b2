"""The language-model setting: OLMo models on natural text with injected tasks (paper Sec. 4)."""

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from rare_retention import ladder
from rare_retention.config import ConfigError, Positive, config, to_dict, without
from rare_retention.errors import below
from rare_retention.evidence.text_tasks import TEXT
from rare_retention.models.architecture import Architecture, Compute, check_path
from rare_retention.models.designs import AnyDesign
from rare_retention.models.olmo_shape import Olmo
from rare_retention.schedule.injection import injections
from rare_retention.schedule.placement import Wording
from rare_retention.schedule.schedule import Schedule
from rare_retention.schedule.shuffle import ORDER_VERSION
from rare_retention.settings.mixture import rarest_watched, watched
from rare_retention.settings.objective import Numbers
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.student import DRAWS
from rare_retention.settings.transformers import Transformers
from rare_retention.tasks import AnyTask
from rare_retention.tasks.comparison import Comparison
from rare_retention.tasks.injected import (
    SEEDS,
    Injected,
    Instances,
    instances,
    names,
    reserved_ids,
)
from rare_retention.tasks.natural import Prompts, prompts
from rare_retention.text.corpus import LATER as CORPUS_LATER
from rare_retention.text.corpus import Corpus, Windows
from rare_retention.text.declared import opened

if TYPE_CHECKING:
    from rare_retention.settings.language_objective import NextToken

_ROWS = 128  # embeddings have a multiple of this many rows, as AI2's 50,304 for 50,280 tokens

LEFT_OUT = {
    # Where the text stands, and how it is read; what it is has a digest.
    "corpus": ("path", "order_file", "cache_mib"),
    # The same numbers by other ways, up to rounding; the type of the numbers is none of them.
    "compute": ("attention", "remat", "unroll"),
}
"""Fields that are known not to change what is learned; any other is part of a run's identity.

What is measured is part of it too: a run that goes on has to go on with metrics of the same shape.
"""

LATER = {"reference": "evaluated", "reserved": False}
"""Fields that came later, and the value at which a run is what it was before there were any."""


@config
class Language:
    """Language models of several sizes, each drawn several times; implements `Setting`.

    Task 0 is the text, tasks 1, 2, ... are the injected ones. A row of the batch is a sequence.

    Attributes:
        kind: tag of this setting in a config tree.
        corpus: the natural text.
        window: T, tokens of a sequence.
        tasks: injected tasks.
        per_sequence: most instances that a sequence has room for, its slots; a task of frequency
            f fills f T of them.
        sizes: of the models, names of `ladder` or "layers x hidden x MLP dim x heads" such as
            "2x64x512x4".
        initialisations: models of each size, which differ in their initial draw only.
        architecture: what models of these sizes are; None: a published size's own, else the paper's
            OLMo.
        compute: how the models are computed.
        reserved: whether the tasks' tokens are ids of their own behind the corpus's, which the text
            never has and trains only as words that do not come; else they are drawn from the
            corpus's.
        task_seed: of the tasks' tokens, their values and the split into training and test half,
            which each stream has drawn anew unless the run holds them (`Run.held`).
        evaluated: instances of each half that are evaluated, all where there are fewer.
        reference: instances whose loss is a watched task's reference loss, so that its gradient is
            g_r: "evaluated", those of the training half, or "all" of both halves, as in the paper.
        watch: ids of the injected tasks that are followed; negative ids count from the last, -1.
        neurons: K, neurons of the first layer's SwiGLU on which gradients are compared: those with
            the largest gradient of the rarest watched task's loss (paper Fig. 9).
    """

    size_field: ClassVar[str] = "sizes"

    kind: Literal["language"] = "language"
    corpus: Corpus = Corpus()
    window: Positive = 4096
    tasks: tuple[AnyTask, ...] = (Comparison(),)
    per_sequence: Positive = 1
    sizes: tuple[str, ...] = ("4M", "20M", "300M", "1B", "4B")
    initialisations: Annotated[int, Field(ge=1, le=DRAWS)] = 1
    architecture: AnyDesign | None = None
    compute: Compute = Compute()
    reserved: bool = False
    task_seed: Annotated[int, Field(ge=0, lt=SEEDS)] = 0
    evaluated: Positive = 1000
    reference: Literal["evaluated", "all"] = "evaluated"
    watch: tuple[int, ...] = (-1,)
    neurons: Positive = 16

    def __post_init__(self) -> None:
        if self.window < self.slot_length * self.per_sequence:
            raise ConfigError(
                "window",
                f"{self.per_sequence} instances of {self.slot_length} tokens do not fit into a "
                f"sequence of {self.window}; expected at least "
                f"{self.slot_length * self.per_sequence}",
            )
        if self.corpus.held_out < 1:
            raise ConfigError("corpus.held_out", "expected a window to evaluate on, got none")
        self._check_sizes()
        self._check_frequencies()
        if 0 in watched(self.watch, len(self.task_names)):
            raise ConfigError("watch", "expected injected tasks, 1 and up; 0 is the text")

    def _check_sizes(self) -> None:
        if not self.sizes:
            raise ConfigError("sizes", "expected at least one size, got none")
        if len(set(self.sizes)) < len(self.sizes):
            raise ConfigError("sizes", f"expected different sizes, got {self.sizes}")
        for i, name in enumerate(self.sizes):
            try:
                head = ladder.size(name, _ROWS, self.architecture).architecture.head_size
            except ConfigError as error:
                raise ConfigError(f"sizes[{i}]", error.message) from None
            try:
                check_path(self.compute.attention, self.window, head, self.compute.dtype)
            except ConfigError as error:
                raise ConfigError(f"compute.{error.field}", error.message) from None

    def _check_frequencies(self) -> None:
        if not self.tasks:
            raise ConfigError("tasks", "expected at least one task, got none")
        rates = [task.per_token for task in self.tasks]
        for k, rate in enumerate(rates):
            if not rate and any(rates[k:]):
                raise ConfigError(
                    f"tasks[{k}].per_token",
                    "0, but a task behind it is shown; expected shams to be the last tasks",
                )
        needed = self.window * sum(rates)
        if needed >= self.per_sequence:
            raise ConfigError(
                "per_sequence",
                f"frequencies of {self._rates()} per token are {needed:.4g} instances in a "
                f"sequence of {self.window}; expected per_sequence above it, at least "
                f"{math.floor(needed) + 1}",
            )

    def _rates(self) -> str:
        return " + ".join(f"{task.per_token:g}" for task in self.tasks)

    @property
    def size_names(self) -> tuple[str, ...]:
        """As they are declared; the corpus need not be there."""
        return self.sizes

    @cached_property
    def windows(self) -> Windows:
        """The corpus, cut into sequences; opened when first used, unless it is only declared."""
        with below("setting"):
            return opened(self.corpus, self.window)

    @property
    def ids(self) -> int:
        """Tokens of sequences are below it: the corpus's, and behind them those that are reserved.

        Raises:
            ConfigError: the type of the token files has not that many.
        """
        windows = self.windows
        if not self.reserved:
            return windows.vocabulary
        found = windows.vocabulary + reserved_ids(self.tasks)
        if found > (most := int(np.iinfo(windows.dtype).max) + 1):
            raise ConfigError(
                "setting.reserved",
                f"{windows.vocabulary:,} ids of the corpus and {reserved_ids(self.tasks):,} of the "
                f"tasks are more than the {most:,} of {windows.dtype} files; expected fewer "
                "symbols, or files of uint32",
            )
        return found

    def instances(self, draw: int) -> tuple[Instances, ...]:
        """All instances of each injected task.

        Args:
            draw: number of the draw of the tasks, `Run.seeds.tasks`.
        """
        windows, reserved = self.windows, self.ids > self.windows.vocabulary
        with below("setting"):
            return _instances(
                self.tasks,
                windows.vocabulary,
                windows.end_of_document,
                self.task_seed,
                draw,
                reserved,
            )

    @cached_property
    def prompts(self) -> tuple[Prompts, ...]:
        """Natural reference prompts, as far as the corpus has them."""
        windows = self.windows
        if windows.tokenizer is None:
            return ()
        return prompts(windows.tokenizer, windows.references)

    @cached_property
    def _shapes(self) -> tuple[tuple[str, Architecture], ...]:
        """Name and architecture of each size, from small to large."""
        rows = -(-self.ids // _ROWS) * _ROWS
        found = [
            (name, ladder.size(name, rows, self.architecture).architecture) for name in self.sizes
        ]
        found.sort(key=lambda pair: pair[1].parameters)
        counts = [shape.parameters for _, shape in found]  # by which groups are told apart
        if len(set(counts)) < len(counts):
            raise ConfigError("sizes", f"expected different numbers of parameters, got {counts}")
        return tuple(found)

    @property
    def architectures(self) -> dict[str, Architecture]:
        """Group of students -> what they are, from small to large."""
        return self.family.architectures

    @property
    def task_names(self) -> tuple[str, ...]:
        """The text, then the injected tasks."""
        return (TEXT, *names(self.tasks))

    @property
    def frequencies(self) -> np.ndarray:
        """Share of each task among the slots, float64 [K]; the text has the rest."""
        shares = [task.per_token * self.window / self.per_sequence for task in self.tasks]
        return np.array([1 - sum(shares), *shares])

    @property
    def wording(self) -> Wording:
        """Frequencies of tasks are told per token; a longer burst finds room in more slots."""
        fields = ("per_sequence", *(f"tasks[{k}].per_token" for k in range(len(self.tasks))))
        slots = self.per_sequence
        return Wording(fields, slots / self.window, slots, "per_sequence")

    @property
    def inputs(self) -> int:
        """None: inputs are no vectors."""
        return 0

    @property
    def row_tokens(self) -> int:
        """T."""
        return self.window

    @property
    def slots(self) -> int:
        """Slots of a sequence."""
        return self.per_sequence

    @property
    def slot_length(self) -> int:
        """Tokens of a slot: of the longest instance, and the end of the document."""
        return max((task.length + 1 for task in self.tasks), default=1)

    @property
    def draws_inputs(self) -> bool:
        """Sequences come from the corpus."""
        return False

    @property
    def draws_tasks(self) -> bool:
        """Tokens, values and halves of each task are drawn."""
        return True

    def recipe(self) -> dict[str, Any]:
        """All fields but `LEFT_OUT`; of the corpus what it was found to be, with its files."""
        tree = without(to_dict(self), LATER)
        tree["corpus"] = without(tree["corpus"], CORPUS_LATER)
        for group, fields in LEFT_OUT.items():
            for name in fields:
                tree[group].pop(name, None)
        if isinstance(self.architecture or Olmo(), Olmo):
            # As before there were others; a published size is of an architecture by its name.
            tree |= _as_recorded(tree.pop("architecture") or to_dict(Olmo()))
        text = self.windows
        tree["corpus"] |= {
            "dtype": text.dtype,
            "vocabulary": text.vocabulary,
            "end_of_document": text.end_of_document,
            "identity": text.identity,
            "files": list(text.text),
            "order_version": ORDER_VERSION,
        }
        return tree

    def constants(self) -> dict[str, tuple[Quantity, np.ndarray]]:
        """Shares and frequencies of the tasks, chance of a right label, entropy of single words."""
        rates = [math.nan, *(task.per_token for task in self.tasks)]
        chance = [math.nan, *(task.chance for task in self.tasks)]
        by_task = ("task",)
        per_token = Quantity(by_task, "instances / token", "instances per training token")
        entropy = Quantity((), "nats", "entropy of the corpus' single tokens")
        return {
            "frequency": (Quantity(by_task, "share", "share of the slots"), self.frequencies),
            "instances_per_token": (per_token, np.array(rates)),
            "chance": (
                Quantity(by_task, "share", "accuracy of one answer to all"),
                np.array(chance),
            ),
            "unigram_entropy": (entropy, np.array(_entropy(self.windows))),
        }

    @property
    def watch_ids(self) -> tuple[int, ...]:
        """Watched tasks as ids in [0, K)."""
        return watched(self.watch, len(self.task_names))

    @cached_property
    def family(self) -> Transformers:
        """The models."""
        return Transformers(
            shapes=self._shapes,
            initialisations=self.initialisations,
            compute=self.compute,
            window=self.window,
            neurons=self.neurons,
        )

    @cached_property
    def objective(self) -> "NextToken":
        """What the models are trained on and asked; the first that needs JAX."""
        from rare_retention.settings.language_objective import NextToken

        return NextToken(
            window=self.window,
            per_sequence=self.per_sequence,
            spans=(0, *(task.length + 1 for task in self.tasks)),
            answers=tuple(task.answer for task in self.tasks),
            watch_ids=self.watch_ids,
            rarest=rarest_watched(self),
            prompts=tuple(asked.name for asked in self.prompts),
            beside=tuple(
                (name, own) for _, shape in self._shapes[:1] for name, own in shape.recorded.items()
            ),
        )

    def numbers(self, draw: int) -> Numbers:
        """What the models are asked: instances of both halves, held-out text, prompts."""
        from rare_retention.settings import language_objective

        found, most = self.instances(draw), self.evaluated
        return language_objective.Numbers(
            train=tuple(one.tokens[one.train[:most]] for one in found),
            test=tuple(one.tokens[one.test[:most]] for one in found),
            reference=tuple(
                one.tokens if self.reference == "all" else one.tokens[one.train[:most]]
                for one in found
            ),
            labels=tuple(
                np.unique(one.tokens[:, -1]) if task.answer == 1 else np.zeros(0, np.int32)
                for task, one in zip(self.tasks, found, strict=True)
            ),
            text=self.windows.held_out(),
            prompts=tuple((asked.tokens, asked.numbers, asked.right) for asked in self.prompts),
        )

    def batches(
        self, schedule: Schedule, draw: int, steps: range, rows: slice
    ) -> dict[str, np.ndarray]:
        """Windows of text whose first tokens may be instances: tokens, and task of each slot."""
        count = schedule.slots // self.per_sequence
        here = np.arange(count, dtype=np.int64)[rows]
        position = np.array(steps, np.int64)[:, None] * count + here
        tokens = self.windows.train(position.ravel(), schedule.seed)
        task = np.zeros((position.size, self.per_sequence), np.int32)
        placed = [injections(schedule, step, count) for step in steps]
        row, slot, owner, word = map(np.concatenate, zip(*placed, strict=True))
        kept = (row >= here[0]) & (row <= here[-1])
        row += np.repeat(np.arange(len(steps)) * len(here), [len(p.row) for p in placed]) - here[0]
        row, slot, owner, word = (part[kept] for part in (row, slot, owner, word))
        task[row, slot] = owner
        self._inject(self.instances(draw), tokens, row, slot, owner, word)
        return {
            "tokens": tokens.reshape(*position.shape, self.window),
            "task": task.reshape(*position.shape, self.per_sequence),
        }

    def _inject(
        self,
        tasks: Sequence[Instances],
        tokens: np.ndarray,
        row: np.ndarray,
        slot: np.ndarray,
        task: np.ndarray,
        word: np.ndarray,
    ) -> None:
        """Writes instances, each chosen by its word, over the first tokens of rows [n, T]."""
        for k, found in enumerate(tasks, start=1):
            mine = task == k
            chosen = found.train[word[mine] % np.uint64(len(found.train))]
            length = found.tokens.shape[1]
            place = self.slot_length * slot[mine, None] + np.arange(length + 1)
            tokens[row[mine, None], place[:, :-1]] = found.tokens[chosen]
            tokens[row[mine], place[:, -1]] = self.windows.end_of_document


def _as_recorded(olmo: dict[str, Any]) -> dict[str, Any]:
    """An OLMo in a recipe: its clipping, and its norm where it is not the paper's."""
    return {"clip_qkv": olmo["clip_qkv"]} | without({"norm": olmo["norm"]}, {"norm": "layer"})


@lru_cache(maxsize=8)
def _instances(
    tasks: tuple[Injected, ...],
    vocabulary: int,
    end_of_document: int,
    seed: int,
    draw: int,
    reserved: bool,
) -> tuple[Instances, ...]:
    """Drawn once for all batches of a run, and for all runs of a study that share them."""
    return instances(tasks, vocabulary, end_of_document, seed, draw, reserved=reserved)


@lru_cache(maxsize=8)
def _entropy(windows: Windows) -> float:
    """Read once for all runs of a study: they share the windows."""
    return windows.unigram_entropy()
