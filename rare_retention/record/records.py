"""What a run has kept of itself, by name: a list against which its folder can be held."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from rare_retention.record import exposures, metrics

RESUME, RETENTION, STATES = "resume", "retention", "states"
"""Roots of checkpoints in a run's folder: to go on, to look back, to branch."""

FILES = "files"
"""What a list calls the files beside these roots and the metrics."""


def steps_in(folder: epath.Path) -> list[int]:
    """Steps that have a checkpoint in a root, ascending; none where there is no such folder."""
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    return sorted(int(name) for name in names if name.isdecimal())


def kept(folder: epath.Path) -> dict[str, list[Any]]:
    """Names of the blocks of metrics in a run's folder, steps of its snapshots, other files."""
    others = [name for name in (exposures.NAME,) if (folder / name).exists()]
    return {
        metrics.FOLDER: metrics.names(folder),
        RETENTION: steps_in(folder / RETENTION),
        FILES: others,
    }


def missing(folder: epath.Path, listed: Mapping[str, Any]) -> list[str]:
    """What of a list is not in a run's folder.

    Whole states are none of it: they may be dropped.

    Args:
        folder: of the run.
        listed: as from `kept`.
    """
    return [
        name if root == FILES else f"{root}/{name}"
        for root, names in kept(folder).items()
        for name in listed.get(root, ())
        if name not in names
    ]


def first_lost(folder: epath.Path, listed: Mapping[str, Any]) -> tuple[int, str] | None:
    """The first state of which something on a list is not in a run's folder, and what.

    What is written anew without training, the exposures, does not count.
    """
    states = []
    for name in missing(folder, listed):
        root, _, what = name.partition("/")
        if root == metrics.FOLDER:
            states.append((metrics.span(what)[0], name))
        elif root == RETENTION:
            states.append((int(what), name))
    return min(states, default=None)
