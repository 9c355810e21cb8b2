"""When the watched tasks were shown: exposures.npz in the folder of a run.

It has three columns, a row for each batch that holds a watched task: `task`, the number of the
task's name in `names`; `step`, the batch's; and `count`, rows of the task in the batch (instances,
where rows hold several). They cover all batches that the run was planned for and the one after.
"""

from collections.abc import Mapping

import numpy as np
from etils import epath

from rare_retention.record.files import read_arrays, write_arrays
from rare_retention.schedule.schedule import Exposures

NAME = "exposures.npz"


def write_exposures(folder: epath.Path, exposures: Mapping[str, Exposures]) -> None:
    """Writes `exposures.npz` in the folder of a run, in place of that of an earlier, shorter run.

    Args:
        folder: the run's folder.
        exposures: name of each watched task -> the steps whose batches hold it, and how many rows
            of it each holds.
    """
    every = list(exposures.values())
    write_arrays(
        folder / NAME,
        {
            "names": np.array(list(exposures), np.str_),
            "task": np.repeat(np.arange(len(every)), [len(own.steps) for own in every]),
            "step": np.concatenate([own.steps for own in every]),
            "count": np.concatenate([own.counts for own in every]),
        },
    )


def read_exposures(folder: epath.Path) -> dict[str, Exposures]:
    """Name of each watched task -> its exposures.

    Raises:
        UserError: the file is missing or damaged.
    """
    found = read_arrays(folder / NAME, f"delete the run {folder} to train it again")
    own = [found["task"] == i for i in range(len(found["names"]))]
    return {
        str(name): Exposures(found["step"][rows], found["count"][rows])
        for name, rows in zip(found["names"], own, strict=True)
    }
