"""The contract of a placement: how many slots of each batch every task has.

A new one is a configuration that inherits `Placing`, with its own name for `placement` and with
fields of its own, under `@PLACEMENTS.add`; its method `place` makes a `Placement`. A run names it
in `run.exposure`. See `schedule.bursts` for those that are built in.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from rare_retention.config import config
from rare_retention.registry import Registry

PLACEMENTS = Registry("placement", tag="placement")


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


class Asked(NamedTuple):
    """What a placement has to realise.

    Attributes:
        shares: long-run share of each of the K tasks in the slots of the stream, exact, sum 1.
        batch: slots B of the global batch.
        seed: of all that is drawn.
        wording: of the messages.
    """

    shares: tuple[Fraction, ...]
    batch: int
    seed: int
    wording: Wording = Wording()

    @property
    def unit(self) -> str:
        """What the schedule shares out, in the words of messages."""
        return "rows" if self.wording.slots == 1 else "slots"


class Placement(ABC):
    """How often each task stands in each batch: a pure function of what was asked, and the step.

    Attributes:
        drawn: tasks whose slots are drawn batch by batch, so that only counting tells how many
            there were; of the others `before` says so at once.
        withheld: tasks that are absent between bursts.
        gap: steps from one burst to the next, 1 without any.
        background: placement of the other tasks around bursts, if there are any.
    """

    drawn: frozenset[int] = frozenset()
    withheld: tuple[int, ...] = ()
    gap: int = 1
    background: str = ""

    @abstractmethod
    def counts(self, step: int) -> Sequence[int]:
        """Slots of each task in batch `step`, [K]; they sum to B, with random access to any."""

    def before(self, step: int, task: int) -> int:
        """Slots of a task that is not drawn in all batches before `step`."""
        raise NotImplementedError(f"{type(self).__name__} draws its tasks, or says how many")

    @abstractmethod
    def rate(self, task: int) -> float:
        """Long-run share of the batches that hold a task, in (0, 1]; of any seed the same."""

    def cycle(self, task: int) -> int:
        """Steps after which the task has had its share: a burst and its gap; by default one."""
        del task
        return 1


@config
class Placing(ABC):
    """When the tasks of a run are shown; frequencies come from the setting.

    Attributes:
        placement: name of the placement.
        left_out: tasks that are never shown, negative ids counted from the last: a control of what
            a student has of a task without it, or a sham task. Everything else stands as it would;
            their slots are those of the most frequent task.
    """

    placement: str
    left_out: tuple[int, ...] = ()

    @property
    def whole(self) -> "Placing":
        """The same with no task left out."""
        return dataclasses.replace(self, left_out=())

    @property
    def steps_between(self) -> int:
        """Steps from one burst to the next, 1 without any."""
        return 1

    @abstractmethod
    def place(self, asked: Asked) -> Placement:
        """The placement of a stream.

        Raises:
            ConfigError: it cannot realise what is asked.
        """
