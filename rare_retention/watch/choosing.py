"""How a user chooses trackers, and how they are opened."""

import importlib.util
from collections.abc import Sequence
from typing import NamedTuple

from rare_retention.errors import UserError
from rare_retention.watch.tracker import Place, Tracker


class _Kind(NamedTuple):
    """What is known of a kind of tracker before it is loaded."""

    package: str
    extra: str


TRACKERS = {
    "tensorboard": _Kind("tensorboardX", "tensorboard"),
    "wandb": _Kind("wandb", "wandb"),
}
"""Name of each tracker on the command line -> the package that it needs, and the extra with it."""

NONE = "none"
"""What a user says who wants no tracker."""


def chosen(names: Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    """The trackers of a job, and a line to say where something is left out.

    Args:
        names: as a user gave them; None where nothing was said: then TensorBoard, if it is there.

    Raises:
        UserError: there is no such tracker, or what it needs is not installed.
    """
    if names is None:
        if _installed("tensorboard"):
            return ("tensorboard",), ""
        return (), f"no scalars are written for TensorBoard: {_remedy('tensorboard')}"
    if list(names) in ([], [""], [NONE]):
        return (), ""
    for name in names:
        if name not in TRACKERS:
            known = ", ".join(TRACKERS)
            alone = "; none stands alone" if name == NONE else ""
            raise UserError(f"--track={','.join(names)}: expected some of {known}, or none{alone}")
    for name in names:
        if not _installed(name):
            raise UserError(f"--track={','.join(names)}: {_remedy(name)}")
    return tuple(dict.fromkeys(names)), ""


def _installed(name: str) -> bool:
    return importlib.util.find_spec(TRACKERS[name].package) is not None


def _remedy(name: str) -> str:
    package, extra = TRACKERS[name]
    return f"{package} is not installed; the extra `{extra}` has it: pip install -e '.[{extra}]'"


def open_tracker(name: str, place: Place) -> Tracker:
    """Opens a tracker for a run.

    Args:
        name: one of `TRACKERS`, installed.
        place: the run.

    Raises:
        UserError: it cannot be opened.
    """
    if name == "tensorboard":
        from rare_retention.watch.tensorboard import TensorBoard  # which needs its package

        return TensorBoard(place.folder)
    from rare_retention.watch.weights_and_biases import WeightsAndBiases

    return WeightsAndBiases(place)
