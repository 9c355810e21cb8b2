"""The placements that are built in: iid, even, and bursts of some tasks around either.

Three placements share one long-run frequency pi_k of each task k:

- `iid`: the task of each slot is drawn from pi.
- `even`: of the first n slots of the stream, task k has floor(n pi_k + phi_k); the most frequent
  task has the rest. A rare task comes as regularly as whole slots allow.
- `burst`: each withheld task is absent for G - 1 steps, then shown all at once: G B pi_k slots, the
  remainder carried to the next burst (the matched-frequency injection of Figs. 4, 6b and 8). The
  other tasks, the background, share the slots that are left by `iid` or `even`.

So `even` is a quota of the slots so far, and `burst` the same quota read only once a gap.
"""

import functools
import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import Literal

import numpy as np

from rare_retention.config import config
from rare_retention.errors import ConfigError
from rare_retention.schedule.background import Even, Iid, Purpose, random_words
from rare_retention.schedule.fixed_point import Quotas
from rare_retention.schedule.placement import PLACEMENTS, Asked, Placement, Placing
from rare_retention.schedule.whole import task_id, whole


@PLACEMENTS.add
@config
class Exposure(Placing):
    """When the tasks are shown; frequencies come from the setting.

    Attributes:
        placement: "iid", "even" or "burst".
        gap: G, steps from one burst to the next; 1 unless the placement is "burst". Bursts come at
            steps t with t mod G = G - 1.
        withheld: tasks shown in bursts only; negative ids count from the rarest, -1.
        background: placement of the other tasks around bursts, "iid" or "even".
        left_out: tasks that are never shown, see `Placing`.
    """

    placement: Literal["iid", "even", "burst"] = "iid"
    gap: int = 1
    withheld: tuple[int, ...] = (-1,)
    background: Literal["iid", "even"] = "iid"

    @property
    def steps_between(self) -> int:
        """G."""
        return self.gap

    def place(self, asked: Asked) -> "Bursts":
        """Bursts of the withheld tasks around the others, or none of them."""
        return Bursts(asked, self)


class Bursts(Placement):
    """Withheld tasks by quotas that are read once a gap, the others in the slots that are left.

    Args:
        asked: frequencies, slots of a batch and seed.
        exposure: how they are placed.

    Raises:
        ConfigError: a value is not allowed, or the values cannot be had together.
    """

    def __init__(self, asked: Asked, exposure: Exposure) -> None:
        self._asked, self._batch = asked, asked.batch
        self._placement, self.background = exposure.placement, exposure.background
        self.gap = whole("exposure.gap", exposure.gap, least=1)
        if exposure.placement == "burst":
            self.withheld = _withheld(exposure.withheld, len(asked.shares))
        else:
            self.background = exposure.placement
            if self.gap > 1:
                raise ConfigError(
                    "exposure.gap",
                    f"{self.gap} means nothing to placement {exposure.placement!r}; "
                    "expected 1, or exposure.placement 'burst'",
                )
        self._others = tuple(k for k in range(len(asked.shares)) if k not in self.withheld)
        # Where each task stands in lists that hold the withheld tasks first, then the others.
        self._slots: list[int] = np.argsort(self.withheld + self._others).tolist()
        self._bursts, self._rest = self._quotas()
        if isinstance(self._rest, Iid):
            self.drawn = frozenset(self._others)
        self._check_room()

    def counts(self, step: int) -> list[int]:
        """Slots of each task in batch `step`: [K], sum B."""
        before, after = self._burst_slots(step), self._burst_slots(step + 1)
        start = step * self._batch - sum(before)
        stop = (step + 1) * self._batch - sum(after)
        bursts = [b - a for a, b in zip(before, after, strict=True)]
        by_group = bursts + self._rest.counts(step, start, stop)
        return [by_group[slot] for slot in self._slots]

    def before(self, step: int, task: int) -> int:
        """Slots of a task that is not drawn in all batches before `step`."""
        slot, bursts = self._slots[task], self._burst_slots(step)
        if slot < len(bursts):
            return bursts[slot]
        if isinstance(self._rest, Iid):
            raise ValueError(f"task {task} is drawn")
        return self._rest.shown(step * self._batch - sum(bursts))[slot - len(bursts)]

    def rate(self, task: int) -> float:
        """Long-run share of the batches that hold a task."""
        share = float(self._asked.shares[task])
        if task in self.drawn:
            return -math.expm1(self._batch * math.log1p(-min(share, 1 - 2**-53)))
        return min(share * self._batch, 1 / self.cycle(task))

    def cycle(self, task: int) -> int:
        """G for a withheld task: steps after its last burst do not count."""
        return self.gap if task in self.withheld else 1

    def _quotas(self) -> tuple[Quotas, Even | Iid]:
        """Quotas of the withheld tasks, and the background placed in the rows they leave."""
        seed = self._asked.seed
        phases: list[int] = random_words(seed, 0, Purpose.PHASES, len(self._asked.shares)).tolist()
        bursts = Quotas(
            [self._asked.shares[k] for k in self.withheld], [phases[k] for k in self.withheld]
        )
        rest = sum(self._asked.shares[k] for k in self._others)
        shares = [self._asked.shares[k] / rest for k in self._others]
        if self.background == "even":
            return bursts, Even(shares, [phases[k] for k in self._others])
        return bursts, Iid(shares, seed)

    def _check_room(self) -> None:
        """Every batch must hold its burst, and the rest of it divide among the other tasks."""
        slots, room = self._asked.wording.slots, self._asked.wording.room
        more = f", or more than {slots} as {room}" if room else ""
        gap = self._largest_gap(self._batch)
        if gap == 0:
            size = self._batch
            while not (gap := self._largest_gap(size)):
                size = -(-self._rest.needs(size + 1) // slots) * slots
            gap_too = f" with a gap of {gap}" if gap < self.gap else ""
            raise ConfigError(
                "batch",
                f"{self._batch // slots} rows are too few for {self._placement} placement of "
                f"{len(self._asked.shares)} tasks; expected {size // slots}{gap_too}, the next "
                f"size that works{more}",
            )
        if gap < self.gap:
            burst = self._burst_size(self._batch, self.gap)
            raise ConfigError(
                "exposure.gap",
                f"{self.gap} steps make a burst of up to {burst} {self._asked.unit}, too many in a "
                f"batch of {self._batch}; expected at most {gap}{more}",
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

    def _burst_slots(self, step: int) -> list[int]:
        """Slots of each withheld task before `step`: quotas of all slots up to the last burst."""
        return self._bursts.at((step - step % self.gap) * self._batch)


def _withheld(withheld: Iterable[int], tasks: int) -> tuple[int, ...]:
    """Indices of the withheld tasks, from 0 and in order."""
    field = "exposure.withheld"
    found = tuple(sorted({task_id(field, task, tasks) for task in withheld}))
    if not 0 < len(found) < tasks:
        raise ConfigError(
            field,
            f"{withheld} withholds {len(found)} of {tasks} tasks; "
            "expected one at least, and one left as background",
        )
    return found
