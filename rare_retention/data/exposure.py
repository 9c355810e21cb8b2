"""The exposure schedule: how many rows of which task stand in which rows of global batch t.

The schedule is the experiment. It is a pure function of (recipe, step): whole numbers, counted
exactly, with the same answer on every host, before and after a resume, and at step 10^9 as cheaply
as at step 0. Three placements share one long-run frequency pi_k of each task k:

- `iid`: the task of each row is drawn from pi.
- `even`: of the first n rows of the stream, task k has floor(n pi_k + phi_k); the most frequent
  task has the rest. A rare task comes as regularly as whole rows allow.
- `burst`: each withheld task is absent for G - 1 steps, then shown all at once: G B pi_k rows, the
  remainder carried to the next burst (the matched-frequency injection of Figs. 4, 6b and 8). The
  other tasks, the background, share the rows that are left by `iid` or `even`.

So `even` is a quota of the rows so far, and `burst` the same quota read only once a gap. Random
words come from Philox keyed by (seed, step) and serve as integers alone, so that neither a version
of NumPy nor the mathematics library of a host can change a batch.
"""

import difflib
import functools
import itertools
import math
import operator
from bisect import bisect_right
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rare_retention.data.background import Even, Iid, Purpose, random_words
from rare_retention.data.fixed_point import Quotas, as_typed
from rare_retention.errors import ConfigError

ORDER_VERSION = 1  # Raise it with any change that gives an old recipe other rows.

PLACEMENTS = ("iid", "even", "burst")
BACKGROUNDS = ("iid", "even")

# What frequencies typed to a few digits may miss: of their sum, and of one expected row.
_TOLERANCE = Fraction(1, 10**6)
_SMALLEST_SHARE = 2.0**-63  # Below it a share vanishes in fixed point.


class Wording(NamedTuple):
    """How messages speak of what the user set.

    Attributes:
        frequencies: field that decides the frequency of each task; without any they are numbered.
        unit: what such a field says where a task has every row of the schedule.
        slots: places in a row of the user's batch, each of them a row of the schedule.
        room: field that decides `slots`, if there is one.
    """

    frequencies: tuple[str, ...] = ()
    unit: float = 1.0
    slots: int = 1
    room: str = ""

    def below(self, group: str) -> "Wording":
        """The same of fields in a group of fields."""
        fields = tuple(f"{group}.{field}" for field in self.frequencies)
        return self._replace(frequencies=fields, room=self.room and f"{group}.{self.room}")


_PLAIN = Wording()


class Exposures(NamedTuple):
    """The batches that hold a task, in order.

    Attributes:
        steps: of the batches [E], int64.
        counts: rows of the task in each [E], int64, at least 1.
    """

    steps: NDArray[np.int64]
    counts: NDArray[np.int64]


class History(NamedTuple):
    """What a run is shown up to a state, and when.

    Attributes:
        exposures: of each task asked for, in the batches up to and including the one that the state
            would be trained on next: a state just before an exposure is known as such.
        shown: rows of each of the K tasks in all batches before the state [K], int64.
    """

    exposures: tuple[Exposures, ...]
    shown: NDArray[np.int64]


class Schedule:
    """Which task stands in which row of the global batch, for every step.

    Args:
        frequencies: [K] positive, sum 1: share of the stream's rows for each task.
        batch: rows B of the global batch.
        placement: "iid", "even" or "burst".
        gap: steps G from one burst to the next; bursts come at steps t with t % G == G - 1.
        withheld: tasks shown in bursts alone, negative ones counted from the end; "burst" only.
        background: "iid" or "even", the placement of the tasks not withheld; "burst" only.
        seed: seed of the draws, the orders of rows and the phases.
        wording: of the messages.

    Raises:
        ConfigError: a value is not allowed, or the values cannot be had together.
    """

    def __init__(
        self,
        frequencies: Iterable[float],
        batch: int,
        *,
        placement: str = "iid",
        gap: int = 1,
        withheld: tuple[int, ...] = (-1,),
        background: str = "iid",
        seed: int = 0,
        wording: Wording = _PLAIN,
    ) -> None:
        self._wording = wording
        self._unit = "rows" if wording.slots == 1 else "slots"
        self.shares = _shares(frequencies)
        self.tasks = len(self.shares)
        self.batch = _whole("batch", batch, least=1)
        self.placement = _choice("exposure.placement", placement, PLACEMENTS)
        self.gap = _whole("exposure.gap", gap, least=1)
        self.background = _choice("exposure.background", background, BACKGROUNDS)
        self.seed = _whole("seed", seed, most=2**64 - 1)
        self.withheld: tuple[int, ...] = ()
        if placement == "burst":
            self.withheld = _withheld(withheld, self.tasks)
        else:
            self.background = placement
            if self.gap > 1:
                raise ConfigError(
                    "exposure.gap",
                    f"{gap} means nothing to placement {placement!r}; "
                    "expected 1, or exposure.placement 'burst'",
                )
        self._others = tuple(k for k in range(self.tasks) if k not in self.withheld)
        # Where each task stands in lists that hold the withheld tasks first, then the others.
        self._slots: list[int] = np.argsort(self.withheld + self._others).tolist()
        self._bursts, self._rest = self._quotas()
        self._check_room()

    def counts(self, step: int) -> NDArray[np.int64]:
        """Rows of each task in batch `step`: [K], sum B."""
        step = _whole("step", step)
        before, after = self._burst_rows(step), self._burst_rows(step + 1)
        start = step * self.batch - sum(before)
        stop = (step + 1) * self.batch - sum(after)
        bursts = [b - a for a, b in zip(before, after, strict=True)]
        return self._by_task(bursts + self._rest.counts(step, start, stop))

    def rows(self, step: int) -> NDArray[np.int32]:
        """Task of each row of batch `step`: [B], every order equally likely.

        No row, and so no host or device, sees more of a rare task than another.
        """
        step = _whole("step", step)
        tasks = np.repeat(np.arange(self.tasks, dtype=np.int32), self.counts(step))
        words = random_words(self.seed, step, Purpose.ORDER, self.batch)
        return tasks[words.argsort(kind="stable")]

    def shown(self, step: int) -> NDArray[np.int64]:
        """Rows of each task in all batches before `step`: [K], sum step * B.

        At once, except that where any task is drawn `iid` the batches are counted one by one.
        """
        step = _whole("step", step)
        if isinstance(self._rest, Iid):
            none = np.zeros(self.tasks, dtype=np.int64)
            return sum(map(self.counts, range(step)), start=none)
        return self._by_task(self._closed_form(step))

    def next_exposure(self, task: int, step: int) -> int:
        """The first step, `step` or later, whose batch holds `task` (-1 is the last task).

        By bisection; for a task drawn `iid` batch by batch, about 1 / (B pi) of them.
        """
        task, step = _task("task", task, self.tasks), _whole("step", step)
        if self._is_drawn(task):
            return next(t for t in itertools.count(step) if self.counts(t)[task])
        slot = self._slots[task]
        seen, reach = self._closed_form(step)[slot], 1
        while self._closed_form(step + reach)[slot] == seen:
            reach *= 2
        ends = range(step + 1, step + reach + 1)
        return step + bisect_right(ends, seen, key=lambda end: self._closed_form(end)[slot])

    def exposures(self, start: int, stop: int, task: int) -> NDArray[np.int64]:
        """Steps in [start, stop) whose batch holds `task` (-1 is the last task), in order.

        Takes time by the number of exposures; for a task drawn `iid`, by the number of steps.
        """
        task, stop = _task("task", task, self.tasks), _whole("stop", stop)
        step = _whole("start", start)
        if self._is_drawn(task):
            found = [t for t in range(step, stop) if self.counts(t)[task]]
        else:
            found = []
            while (step := self.next_exposure(task, step)) < stop:
                found.append(step)
                step += 1
        return np.array(found, dtype=np.int64)

    def history(self, step: int, tasks: Iterable[int]) -> History:
        """Exposures of some tasks up to state `step`, and what was shown of all before it.

        Where any task is drawn `iid`, one pass over the batches counts all of it; otherwise it
        takes time by the number of exposures.

        Args:
            step: number of updates before the state.
            tasks: ids; -1 is the last task.
        """
        step = _whole("step", step)
        ids = [_task("task", task, self.tasks) for task in tasks]
        if not isinstance(self._rest, Iid):
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
        """Long-run share of the batches that hold a task, in (0, 1]; of any seed the same.

        Args:
            task: id; -1 is the last task.
        """
        task = _task("task", task, self.tasks)
        share = float(self.shares[task])
        if self._is_drawn(task):
            return -math.expm1(self.batch * math.log1p(-min(share, 1 - 2**-53)))
        return min(share * self.batch, 1 / self.gap if task in self.withheld else 1.0)

    def check(self, steps: int) -> None:
        """Refuse a run of `steps` steps that cannot realise the frequencies.

        It can where it holds a burst and every task is expected in one row at least; for a withheld
        task, steps after the last burst do not count.

        Raises:
            ConfigError: naming the smallest frequency that such a run can realise, and the number
                of steps that would do.
        """
        steps = _whole("steps", steps, least=1)
        if steps < self.gap:
            raise ConfigError(
                "exposure.gap",
                f"{self.gap} steps, but a run of {steps} ends before the first burst; "
                f"expected at most {steps}, or a run of {self.gap} steps",
            )
        for task, share in enumerate(self.shares):
            gap = self.gap if task in self.withheld else 1
            rows = (steps - steps % gap) * self.batch
            if share * rows < 1 - _TOLERANCE:
                enough = gap * math.ceil((1 - _TOLERANCE) / (share * self.batch * gap))
                raise ConfigError(
                    self._field(task),
                    f"{float(share) * self._wording.unit:.8g} is {float(share * rows):.3g} "
                    f"expected {self._unit} in {steps} steps of {self.batch} {self._unit}; "
                    f"expected one or more: a frequency of {self._wording.unit / rows:.8g}, or "
                    f"{enough} steps",
                )

    def _field(self, task: int) -> str:
        """The field that decides the frequency of a task."""
        fields = self._wording.frequencies
        return fields[task] if fields else f"frequencies[{task}]"

    def _quotas(self) -> tuple[Quotas, Even | Iid]:
        """Quotas of the withheld tasks, and the background placed in the rows they leave."""
        phases: list[int] = random_words(self.seed, 0, Purpose.PHASES, self.tasks).tolist()
        bursts = Quotas([self.shares[k] for k in self.withheld], [phases[k] for k in self.withheld])
        rest = sum(self.shares[k] for k in self._others)
        shares = [self.shares[k] / rest for k in self._others]
        if self.background == "even":
            return bursts, Even(shares, [phases[k] for k in self._others])
        return bursts, Iid(shares, self.seed)

    def _check_room(self) -> None:
        """Every batch must hold its burst, and the rest of it divide among the other tasks."""
        slots, room = self._wording.slots, self._wording.room
        more = f", or more than {slots} as {room}" if room else ""
        gap = self._largest_gap(self.batch)
        if gap == 0:
            size = self.batch
            while not (gap := self._largest_gap(size)):
                size = -(-self._rest.needs(size + 1) // slots) * slots
            gap_too = f" with a gap of {gap}" if gap < self.gap else ""
            raise ConfigError(
                "batch",
                f"{self.batch // slots} rows are too few for {self.placement} placement of "
                f"{self.tasks} tasks; expected {size // slots}{gap_too}, the next size that works"
                f"{more}",
            )
        if gap < self.gap:
            burst = self._burst_size(self.batch, self.gap)
            raise ConfigError(
                "exposure.gap",
                f"{self.gap} steps make a burst of up to {burst} {self._unit}, too many in a batch "
                f"of {self.batch}; expected at most {gap}{more}",
            )

    def _largest_gap(self, batch: int) -> int:
        """The largest gap, up to the one asked for, that batches of a size allow; 0 for none."""
        if self._rest.needs(batch) > batch:
            return 0
        gap = self.gap
        while gap and (need := self._shortage(batch, gap)) is not None:
            # The largest smaller gap whose bursts always leave the rows needed.
            most = functools.partial(self._burst_size, batch)
            gap = bisect_right(range(1, gap), batch - need, key=most)
        return gap

    def _burst_size(self, batch: int, gap: int) -> int:
        """The most rows that a burst takes."""
        return self._bursts.most(gap * batch)

    def _shortage(self, batch: int, gap: int) -> int | None:
        """Rows that the other tasks need where a burst may leave fewer; None where none does."""
        fewest = batch - self._burst_size(batch, gap)
        left = range(fewest, batch - self._bursts.least(gap * batch) + 1)
        return next((need for rows in left if (need := self._rest.needs(rows)) > rows), None)

    def _burst_rows(self, step: int) -> list[int]:
        """Rows of each withheld task before `step`: quotas of all rows up to the last burst."""
        return self._bursts.at((step - step % self.gap) * self.batch)

    def _is_drawn(self, task: int) -> bool:
        return isinstance(self._rest, Iid) and task not in self.withheld

    def _closed_form(self, step: int) -> list[int]:
        """Rows before `step` of the withheld tasks, then, if placed evenly, of the others."""
        bursts = self._burst_rows(step)
        if isinstance(self._rest, Iid):
            return bursts
        return bursts + self._rest.shown(step * self.batch - sum(bursts))

    def _by_task(self, values: list[int]) -> NDArray[np.int64]:
        """Values of the withheld tasks, then of the others, put in the order of the tasks."""
        return np.array(values, dtype=np.int64)[self._slots]


def _shares(frequencies: Iterable[float]) -> tuple[Fraction, ...]:
    """Frequencies as exact numbers whose sum is one."""
    typed = []
    for task, frequency in enumerate(map(float, frequencies)):
        if not _SMALLEST_SHARE <= frequency <= 1 + _TOLERANCE:
            raise ConfigError(
                f"frequencies[{task}]",
                f"{frequency}; expected above 0 and at most 1: leave out a task that never comes",
            )
        typed.append(as_typed(frequency))
    total = sum(typed, start=Fraction(0))
    if abs(total - 1) > _TOLERANCE:
        raise ConfigError(
            "frequencies",
            f"they sum to {float(total):.9g}; expected 1: divide each by the sum",
        )
    return tuple(share / total for share in typed)


def _withheld(withheld: Iterable[int], tasks: int) -> tuple[int, ...]:
    """Indices of the withheld tasks, from 0 and in order."""
    field = "exposure.withheld"
    found = tuple(sorted({_task(field, task, tasks) for task in withheld}))
    if not 0 < len(found) < tasks:
        raise ConfigError(
            field,
            f"{withheld} withholds {len(found)} of {tasks} tasks; "
            "expected one at least, and one left as background",
        )
    return found


def _task(field: str, task: int, tasks: int) -> int:
    """Index of a task from 0, where a negative one counts from the end."""
    return _whole(field, task, least=-tasks, most=tasks - 1) % tasks


def _whole(field: str, value: int, least: int = 0, most: float = math.inf) -> int:
    """A whole number in [least, most]; a Python integer, since NumPy's would overflow."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ConfigError(field, f"{value!r}; expected a whole number") from None
    if not least <= number <= most:
        bounds = f"{least} or more" if most == math.inf else f"{least} to {most}"
        raise ConfigError(field, f"{number}; expected {bounds}")
    return number


def _choice(field: str, value: str, choices: tuple[str, ...]) -> str:
    if value in choices:
        return value
    close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
    hint = "".join(f": did you mean {match!r}?" for match in close)
    raise ConfigError(field, f"{value!r}; expected one of {', '.join(choices)}{hint}")
