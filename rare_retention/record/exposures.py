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


def write_exposures(folder: epath.Path, identity: str, exposures: Mapping[str, Exposures]) -> None:
    """Writes `exposures.npz` in the folder of a run, in place of that of an earlier, shorter run.

    Args:
        folder: the run's folder.
        identity: fingerprint of its recipe.
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
        _about(identity),
    )


def _about(identity: str | None) -> dict[str, str]:
    return {"kind": "exposures"} | ({} if identity is None else {"run": identity})


def read_exposures(
    folder: epath.Path, identity: str | None = None, sealed: bool = True
) -> dict[str, Exposures]:
    """Name of each watched task -> its exposures.

    Args:
        folder: the run's folder.
        identity: fingerprint of its recipe; None takes any run's.
        sealed: whether files without a seal are refused (`Manifest.sealed`).

    Raises:
        Damaged: the file is missing, damaged or another run's.
    """
    found = read_arrays(
        folder / NAME,
        _about(identity),
        "run the study again, which writes it anew",
        required=sealed,
    )
    own = [found["task"] == i for i in range(len(found["names"]))]
    return {
        str(name): Exposures(found["step"][rows], found["count"][rows])
        for name, rows in zip(found["names"], own, strict=True)
    }
