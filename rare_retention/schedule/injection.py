"""Where the instances of a batch stand, and which they are.

The schedule counts instances among the slots of a batch, `slots` in each row. A batch's instances
then go to its rows in turn, in an order drawn for the batch: with no more instances than rows each
has a row of its own, with more every row has as many as any other, give or take one. In a row they
fill its first slots.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rare_retention.schedule.background import Purpose, random_words
from rare_retention.schedule.schedule import Schedule


class Injections(NamedTuple):
    """The instances of a batch, each array [n].

    Attributes:
        row: of the global batch.
        slot: of that row.
        task: 1, 2, ...; task 0 is the text.
        word: random 64-bit word that chooses the instance.
    """

    row: NDArray[np.int64]
    slot: NDArray[np.int64]
    task: NDArray[np.int32]
    word: NDArray[np.uint64]


def injections(schedule: Schedule, step: int, rows: int) -> Injections:
    """The instances of a global batch.

    Args:
        schedule: of all slots, `schedule.slots` of them; task 0 leaves a slot to the text.
        step: number of updates before the batch.
        rows: of the batch.
    """
    counts = schedule.placed(step)
    shown = np.repeat(np.arange(1, len(counts), dtype=np.int32), counts[1:])
    if len(counts) > 2:  # of several tasks none comes first
        words = random_words(schedule.seed, step, Purpose.ORDER, len(shown))
        shown = shown[words.argsort(kind="stable")]
    order = random_words(schedule.seed, step, Purpose.PLACES, rows).argsort(kind="stable")
    slot, turn = np.divmod(np.arange(len(shown)), rows)
    words = random_words(schedule.seed, step, Purpose.INSTANCES, len(shown))
    kept = ~np.isin(shown, schedule.left_out)  # the places of those that are left out stay text
    return Injections(order[turn][kept], slot[kept], shown[kept], words[kept])
