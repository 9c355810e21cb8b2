"""The exposure schedule: how many slots of which task stand in global batch t, and in which.

The schedule is the experiment. It is a pure function of (recipe, step): whole numbers, counted
exactly, with the same answer on every host, before and after a resume, and at step 10^9 as cheaply
as at step 0. How the slots of a stream are shared out is a `Placement`; what follows from its
counts is the same for all. Random words come from Philox keyed by (seed, step) and serve as
integers alone, so that neither a version of NumPy nor the mathematics library of a host can change
a batch.
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rare_retention.errors import ConfigError
from rare_retention.schedule.background import Purpose, random_words
from rare_retention.schedule.bursts import Exposure
from rare_retention.schedule.fixed_point import as_typed
from rare_retention.schedule.placement import Asked, Placing, Wording
from rare_retention.schedule.whole import task_id, whole

ORDER_VERSION = 1  # Raise it with any change that gives an old recipe other rows.

# What frequencies typed to a few digits may miss: of their sum, and of one expected row.
_TOLERANCE = Fraction(1, 10**6)
_SMALLEST_SHARE = 2.0**-63  # Below it a share vanishes in fixed point.


class Exposures(NamedTuple):
    """The batches that hold a task, in order.

    Attributes:
        steps: of the batches [E], int64.
        counts: slots of the task in each [E], int64, at least 1.
    """

    steps: NDArray[np.int64]
    counts: NDArray[np.int64]


class History(NamedTuple):
    """What a run is shown up to a state, and when.

    Attributes:
        exposures: of each task asked for, in the batches up to and including the one that the state
            would be trained on next: a state just before an exposure is known as such.
        shown: slots of each of the K tasks in all batches before the state [K], int64.
    """

    exposures: tuple[Exposures, ...]
    shown: NDArray[np.int64]


class Schedule:
    """Which task stands in which slot of the global batch, for every step.

    A slot is a row of the batch, or in text a place for an instance, of which a sequence may have
    several.

    Args:
        frequencies: [K], sum 1: share of the stream's slots for each task; 0 for tasks at the end
            that are never shown. The exposure knows nothing of these: its ids are those of others.
        slots: B, of the global batch.
        exposure: how they are placed.
        seed: of the draws, the orders of slots and the phases.
        wording: of the messages.

    Raises:
        ConfigError: a value is not allowed, or the values cannot be had together.
    """

    def __init__(
        self,
        frequencies: Iterable[float],
        slots: int,
        exposure: Placing | None = None,
        *,
        seed: int = 0,
        wording: Wording | None = None,
    ) -> None:
        self._wording = Wording() if wording is None else wording
        every, exposure = _shares(frequencies), exposure or Exposure()
        self.tasks, shares = len(every), tuple(filter(None, every))
        self._never = every[len(shares) :]
        self.slots = whole("batch", slots, least=1)
        self.seed = whole("seed", seed, most=2**64 - 1)
        self._asked = Asked(shares, self.slots, self.seed, self._wording)
        self.placement = exposure.place(self._asked)
        self._top = shares.index(max(shares))
        self.left_out = self._left_out(exposure.left_out)
        self._out = list(self.left_out)
        self.shares = tuple(Fraction(0) if k in self._out else own for k, own in enumerate(shares))
        rest = 1 - sum(self.shares)
        self.shares = tuple(own + rest * (k == self._top) for k, own in enumerate(self.shares))
        self.shares += self._never
        # The most frequent task takes the slots of those that are left out, drawn or not.
        taken = {self._top} if self.placement.drawn.intersection(self._out) else set()
        self.drawn = (self.placement.drawn | taken) - set(self._out)

    @property
    def withheld(self) -> tuple[int, ...]:
        """Tasks that are absent between bursts; with a gap of 1 they never are."""
        return self.placement.withheld

    @property
    def gap(self) -> int:
        """Steps from one burst to the next, 1 without any."""
        return self.placement.gap

    def placed(self, step: int) -> NDArray[np.int64]:
        """Slots of each task in batch `step` as if none were left out: [K], sum B."""
        counts = [*self.placement.counts(whole("step", step)), *(0 for _ in self._never)]
        return np.array(counts, dtype=np.int64)

    def counts(self, step: int) -> NDArray[np.int64]:
        """Slots of each task in batch `step`: [K], sum B."""
        counts = self.placed(step)
        counts[self._top] += counts[self._out].sum()
        counts[self._out] = 0
        return counts

    def rows(self, step: int) -> NDArray[np.int32]:
        """Task of each slot of batch `step`: [B], every order equally likely.

        No slot, and so no host or device, sees more of a rare task than another.
        """
        step, ids = whole("step", step), np.arange(self.tasks, dtype=np.int32)
        ids[self._out] = self._top  # other rows stay where they are
        tasks = np.repeat(ids, self.placed(step))
        words = random_words(self.seed, step, Purpose.ORDER, self.slots)
        return tasks[words.argsort(kind="stable")]

    def shown(self, step: int) -> NDArray[np.int64]:
        """Slots of each task in all batches before `step`: [K], sum step * B.

        At once, except that where any task is drawn the batches are counted one by one.
        """
        step = whole("step", step)
        if self.placement.drawn:
            none = np.zeros(self.tasks, dtype=np.int64)
            return sum(map(self.counts, range(step)), start=none)
        return np.array([self._before(step, k) for k in range(self.tasks)], dtype=np.int64)

    def _before(self, step: int, task: int) -> int:
        """Slots of a task that is not drawn in all batches before `step`."""
        if not self.shares[task]:
            return 0
        taken = self._out if task == self._top else []
        return sum(self.placement.before(step, k) for k in (task, *taken))

    def next_exposure(self, task: int, step: int) -> int:
        """The first step, `step` or later, whose batch holds `task` (-1 is the last task).

        By bisection; for a task that is drawn batch by batch, about 1 / (B pi) of them.

        Raises:
            ConfigError: the task is never shown.
        """
        task, step = task_id("task", task, self.tasks), whole("step", step)
        if not self.shares[task] and task not in self._out:
            raise ConfigError(self._field(task), f"0: task {task} is never shown")
        if task in self._out:
            raise ConfigError("exposure.left_out", f"task {task} is left out, and never shown")
        if task in self.drawn:
            return next(t for t in itertools.count(step) if self.counts(t)[task])
        seen, reach = self._before(step, task), 1
        while self._before(step + reach, task) == seen:
            reach *= 2
        ends = range(step + 1, step + reach + 1)
        return step + bisect_right(ends, seen, key=lambda end: self._before(end, task))

    def exposures(self, start: int, stop: int, task: int) -> NDArray[np.int64]:
        """Steps in [start, stop) whose batch holds `task` (-1 is the last task), in order.

        Takes time by the number of exposures; for a task that is drawn, by the number of steps.
        """
        task, stop = task_id("task", task, self.tasks), whole("stop", stop)
        step = whole("start", start)
        found: list[int] = []
        if not self.shares[task]:
            pass
        elif task in self.drawn:
            found = [t for t in range(step, stop) if self.counts(t)[task]]
        else:
            while (step := self.next_exposure(task, step)) < stop:
                found.append(step)
                step += 1
        return np.array(found, dtype=np.int64)

    def history(self, step: int, tasks: Iterable[int]) -> History:
        """Exposures of some tasks up to state `step`, and what was shown of all before it.

        Where any task is drawn, one pass over the batches counts all of it; otherwise it
        takes time by the number of exposures.

        Args:
            step: number of updates before the state.
            tasks: ids; -1 is the last task.
        """
        step = whole("step", step)
        ids = [task_id("task", task, self.tasks) for task in tasks]
        if not self.placement.drawn:
            return History(tuple(self._exposures(step, task) for task in ids), self.shown(step))
        shown = np.zeros(self.tasks, dtype=np.int64)
        found: list[list[tuple[int, int]]] = [[] for _ in ids]
        for t in range(step + 1):
            counts = self.counts(t)
            for own, task in zip(found, ids, strict=True):
                if counts[task]:
                    own.append((t, int(counts[task])))
            if t < step:
                shown += counts
        pairs = (np.array(own, dtype=np.int64).reshape(-1, 2) for own in found)
        return History(tuple(Exposures(*own.T) for own in pairs), shown)

    def _exposures(self, step: int, task: int) -> Exposures:
        """Those of a task that is not drawn, in the batches 0 to `step`."""
        steps = self.exposures(0, step + 1, task)
        counts = [int(self.counts(t)[task]) for t in steps.tolist()]
        return Exposures(steps, np.array(counts, dtype=np.int64))

    def rate(self, task: int) -> float:
        """Long-run share of the batches that hold a task, in [0, 1]; of any seed the same.

        Args:
            task: id; -1 is the last task.
        """
        task = task_id("task", task, self.tasks)
        return self.placement.rate(task) if self.shares[task] else 0.0

    def _left_out(self, given: Iterable[int]) -> tuple[int, ...]:
        """Ids of the tasks that are never shown, from 0 and in order.

        Raises:
            ConfigError: there is no such task, or nothing could take their slots.
        """
        field = "exposure.left_out"
        ids = tuple(sorted({task_id(field, task, len(self._asked.shares)) for task in given}))
        if self._top in ids:
            raise ConfigError(
                field,
                f"{tuple(given)} leaves out the most frequent task, which takes the slots of those "
                f"that are left out; expected others than {self._top}",
            )
        return ids

    def check(self, steps: int) -> None:
        """Refuse a run of `steps` steps that cannot realise the frequencies.

        It can where it holds a burst and every task is expected in one slot at least; for a
        withheld task, steps after the last burst do not count.

        Raises:
            ConfigError: naming the smallest frequency that such a run can realise, and the number
                of steps that would do.
        """
        steps, unit = whole("steps", steps, least=1), self._asked.unit
        if steps < self.gap:
            raise ConfigError(
                "exposure.gap",
                f"{self.gap} steps, but a run of {steps} ends before the first burst; "
                f"expected at most {steps}, or a run of {self.gap} steps",
            )
        for task, share in enumerate(self._asked.shares):
            cycle = self.placement.cycle(task)
            slots = (steps - steps % cycle) * self.slots
            if share * slots < 1 - _TOLERANCE:
                enough = cycle * math.ceil((1 - _TOLERANCE) / (share * self.slots * cycle))
                raise ConfigError(
                    self._field(task),
                    f"{float(share) * self._wording.unit:.8g} is {float(share * slots):.3g} "
                    f"expected {unit} in {steps} steps of {self.slots} {unit}; "
                    f"expected one or more: a frequency of {self._wording.unit / slots:.8g}, or "
                    f"{enough} steps",
                )

    def _field(self, task: int) -> str:
        """The field that decides the frequency of a task."""
        fields = self._wording.frequencies
        return fields[task] if fields else f"frequencies[{task}]"


def _shares(frequencies: Iterable[float]) -> tuple[Fraction, ...]:
    """Frequencies as exact numbers whose sum is one."""
    given = list(map(float, frequencies))
    typed = []
    for task, frequency in enumerate(given):
        if not (frequency == 0 or _SMALLEST_SHARE <= frequency <= 1 + _TOLERANCE):
            raise ConfigError(f"frequencies[{task}]", f"{frequency}; expected from 0 to 1")
        if frequency == 0 and any(given[task:]):
            raise ConfigError(
                f"frequencies[{task}]",
                "0; expected tasks that are never shown to stand behind all others",
            )
        typed.append(as_typed(frequency))
    total = sum(typed, start=Fraction(0))
    if abs(total - 1) > _TOLERANCE:
        raise ConfigError(
            "frequencies",
            f"they sum to {float(total):.9g}; expected 1: divide each by the sum",
        )
    return tuple(share / total for share in typed)
