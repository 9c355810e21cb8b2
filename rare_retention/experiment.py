"""A run: one stream of batches, the students that train on it side by side, and what is kept."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rare_retention.config import (
    ConfigError,
    Natural,
    Positive,
    config,
    difference,
    fingerprint,
    to_dict,
    without,
)
from rare_retention.instruments import AnyInstrument
from rare_retention.instruments.effect import Effect
from rare_retention.instruments.gradients import Gradients
from rare_retention.instruments.instrument import Instrument
from rare_retention.mesh import MeshShape
from rare_retention.optimizer import Optimizer
from rare_retention.rules import AnyRule
from rare_retention.schedule.bursts import Exposure
from rare_retention.schedule.placement import PLACEMENTS, Placing
from rare_retention.schedule.schedule import ORDER_VERSION, Schedule
from rare_retention.settings.competition import Competition
from rare_retention.settings.language import Language
from rare_retention.settings.parity import Parity
from rare_retention.settings.regression import Regression
from rare_retention.settings.setting import SETTINGS, Setting
from rare_retention.settings.student import DRAWS
from rare_retention.text import digests

Drawn = Literal["batches", "weights", "tasks"]
"""What the number of a stream draws."""

for setting in (Regression, Competition, Parity, Language):
    SETTINGS.add(setting)

AnyExposure = Annotated[Placing, PLACEMENTS]
"""Every placement of tasks: those that are built in, and any that a file of the user's own adds."""

AnySetting = Annotated[Setting, SETTINGS]
"""These settings, and any that a file of the user's own adds."""

LEFT_OUT = frozenset(
    {
        # How long the run is. Batch t and update t do not depend on it: the optimizer has a horizon
        # of its own, so a finished run may be made longer.
        "steps",
        # A mean over pieces is the mean over the batch, up to rounding.
        "accumulate",
        # Where the numbers are computed: another mesh sums in another order, up to rounding.
        "mesh",
        # What is looked at and kept: none of it changes an update.
        "measure",
        "snapshots",
        "checkpoints",
    }
)
"""Fields of a run that are known not to change what is learned, and so are no part of its identity.

Any other field is part of it, also one that is added later, until it is listed here.
"""


LATER: dict[str, Any] = {"rule": None, "turns": []}
"""Fields that came later, and the value at which a run is what it was before there were any."""

LATER_OF: dict[str, dict[str, Any]] = {
    "optimizer": {
        "warmup_from": 0.0,
        "ahead": 0,
        "momentum": 0.95,
        "nesterov": True,
        "newton_schulz": 5,
        "update_rms": 0.2,
        "adam_factor": 1.0,
        "clip_behind": 0,
        "skip_above": None,
        "skip_window": 128,
    },
    "exposure": {"left_out": []},
}
"""The same of groups of fields."""


@config
class Measurement:
    """When the students are measured.

    Attributes:
        every: steps between regular measurements; also the longest compiled call.
        cycles: exposures of the rarest watched task, evenly chosen, around which the students are
            measured: just before, just after, log-spaced to the next exposure.
        per_doubling: measurements for each doubling of the time since an exposure.
        gradients: compare the gradients of each measured batch, by task, with each other, with
            those of the watched tasks' reference losses and with the update.
        effect: follow the first-order effect of every update on the watched tasks.
        instruments: what else is measured inside the step, such as an instrument of your own.
    """

    every: Positive = 250
    cycles: Natural = 0
    per_doubling: Positive = 2
    gradients: bool = False
    effect: bool = True
    instruments: tuple[AnyInstrument, ...] = ()

    def __post_init__(self) -> None:
        kinds = [tool.kind for tool in self.instruments]
        for i, kind in enumerate(kinds):
            if kind in ("effect", "gradients"):
                raise ConfigError(f"instruments[{i}]", f"expected measure.{kind} instead, true")
            if kind in kinds[:i]:
                raise ConfigError(f"instruments[{i}]", f"{kind!r} is listed twice")

    @property
    def tools(self) -> tuple[Instrument, ...]:
        """All instruments, those that are switched on by a field too."""
        own = (Effect(),) * self.effect + (Gradients(),) * self.gradients
        return (*own, *self.instruments)


@config
class Snapshots:
    """Which parameters are kept in `retention/`.

    Attributes:
        cycles: exposures of the rarest watched task, evenly chosen, around which parameters are
            kept: just before, just after, at each doubling, just before the next.
        every: steps between regular snapshots; 0 keeps none.
        states: steps of states that are kept whole in `states/`, with the optimizer's and the
            rule's: what branches go on from. A study adds those that its branches need.
        budget_mb: megabytes that all snapshots and whole states of a run may take; a plan over it
            is refused.
    """

    cycles: Natural = 0
    every: Natural = 0
    states: tuple[Positive, ...] = ()
    budget_mb: float = 512.0


@config
class Checkpoints:
    """Where a run can be resumed.

    Attributes:
        every: steps between checkpoints in `resume/`.
        keep: newest checkpoints that are kept.
    """

    every: Positive = 1000
    keep: Positive = 2


@config
class Turn:
    """Where a run goes on from the state of another, and what it does otherwise.

    Attributes:
        step: updates before the state.
        changed: lines such as "exposure.left_out: [] -> [-1]", in order; of fields of the recipe.
    """

    step: Positive
    changed: tuple[str, ...] = ()


class Seeds(NamedTuple):
    """Number of the draw of each part of a run; runs with equal numbers have equal parts.

    Attributes:
        batches: the schedule, the order of the text, and inputs that are drawn.
        weights: the initial weights, of as many draws as there are `initialisations`.
        tasks: tokens, values and halves of injected tasks, subsets of parities.
    """

    batches: int
    weights: int
    tasks: int


@config
class Run:
    """One stream and its students.

    Attributes:
        setting: tasks and models.
        exposure: when the tasks are shown.
        optimizer: how the students are trained.
        rule: what is done with the gradients of the tasks before they are applied, if anything.
        batch: B, rows of the global batch.
        accumulate: pieces of a batch whose gradients are computed one after another and averaged,
            where all of it needs too much memory.
        steps: updates; may grow when a run is resumed.
        stream: number of the stream; another one has other batches, other initial weights and
            other tasks, where they are drawn, but for what is held.
        held: parts that keep the draw of stream 0 whatever the stream: "batches", "weights" or
            "tasks". The tasks of a regression and of a competition are not drawn: there "tasks"
            holds nothing more.
        precision: of matrix products.
        measure: when the students are measured.
        snapshots: which parameters are kept.
        checkpoints: where the run can be resumed.
        mesh: shape of the device mesh.
        turns: of a run that goes on from the state of another, in place of initial weights: from
            its trunk on, every run that it came by. A study's branches set them.
    """

    setting: AnySetting = Regression()
    exposure: AnyExposure = Exposure()
    optimizer: Optimizer = Optimizer()
    rule: AnyRule | None = None
    batch: Positive = 1024
    accumulate: Positive = 1
    steps: Positive = 10_000
    stream: Annotated[int, Field(ge=0, lt=DRAWS)] = 0
    held: tuple[Drawn, ...] = ()
    precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32"
    measure: Measurement = Measurement()
    snapshots: Snapshots = Snapshots()
    checkpoints: Checkpoints = Checkpoints()
    mesh: MeshShape = MeshShape()
    turns: tuple[Turn, ...] = ()

    def __post_init__(self) -> None:
        if self.start >= self.steps:
            raise ConfigError(
                "turns", f"expected to turn before steps = {self.steps}, got {self.start}"
            )
        if len(set(self.held)) < len(self.held):
            raise ConfigError("held", f"expected different parts, got {self.held}")
        if self.accumulate > 1 and self.setting.draws_inputs:
            raise ConfigError(
                "accumulate",
                f"a {self.setting.kind} setting draws its inputs at once; expected 1, got "
                f"{self.accumulate}",
            )
        if self.batch % self.accumulate:
            raise ConfigError(
                "accumulate", f"expected a divisor of batch = {self.batch}, got {self.accumulate}"
            )

    @property
    def matmul_precision(self) -> str:
        """Precision of matrix products: as asked for, as far as the setting's arrays have it."""
        finest = self.setting.family.finest_precision
        return finest if self.precision == "float32" else self.precision

    @property
    def start(self) -> int:
        """Step of the state from which it is trained: 0 unless it goes on from another run."""
        return self.turns[-1].step if self.turns else 0

    @property
    def seeds(self) -> Seeds:
        """The stream's number, or 0 for what is held."""
        return Seeds(*(0 if part in self.held else self.stream for part in Seeds._fields))

    @property
    def fixed(self) -> tuple[str, ...]:
        """Parts that all streams have in common: what is held, and tasks that are not drawn."""
        own = () if self.setting.draws_tasks else ("tasks",)
        return tuple(part for part in Seeds._fields if part in (*self.held, *own))

    def schedule(self) -> Schedule:
        """The exposure schedule of this stream.

        Raises:
            ConfigError: the schedule cannot be honoured in this batch.
        """
        return Schedule(
            self.setting.frequencies,
            self.batch * self.setting.slots,
            self.exposure,
            seed=self.seeds.batches,
            wording=self.setting.wording.below("setting"),
        )

    def recipe(self) -> dict[str, Any]:
        """All that decides what is learned at a step, as JSON values: all fields but `LEFT_OUT`."""
        tree = {name: value for name, value in to_dict(self).items() if name not in LEFT_OUT}
        tree = without(tree, LATER)
        tree |= {name: without(tree[name], later) for name, later in LATER_OF.items()}
        if self.rule is not None:
            tree["rule"] = without(tree["rule"], self.rule.LATER)
        return tree | {"setting": self.setting.recipe(), "order_version": ORDER_VERSION}

    def identity(self) -> str:
        """Fingerprint of the recipe, 16 hexadecimal digits."""
        return fingerprint(self.recipe())


def turned(run: Run, step: int, other: Run) -> Run:
    """A run that goes on from the state of another.

    Args:
        run: that is gone on from.
        step: of the state.
        other: the same with what is to be otherwise, `steps` included.
    """
    before, after = (
        {name: value for name, value in to_dict(own).items() if name not in LEFT_OUT | {"turns"}}
        for own in (run, other)
    )
    turn = Turn(step=step, changed=tuple(difference(before, after)))
    return dataclasses.replace(other, turns=(*run.turns, turn))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Where two recipes of runs differ, one line a field; however many files of the text do, one.

    Args:
        before: a recipe, as it was stored.
        after: another one.
    """
    (before, old), (after, new) = _without_files(before), _without_files(after)
    lines = difference(before, after)
    if old != new and (what := digests.change(old, new)):
        field = "setting.corpus.identity: "
        why = f" (the text has changed: {what})"
        lines = [line + why * line.startswith(field) for line in lines]
    return lines


def _without_files(recipe: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A recipe without the list of the files of its text, and that list."""
    setting = recipe["setting"]
    if "corpus" not in setting:
        return dict(recipe), []
    corpus = {name: value for name, value in setting["corpus"].items() if name != "files"}
    return {**recipe, "setting": {**setting, "corpus": corpus}}, setting["corpus"]["files"]
