"""Trackers: where the scalars of a run go while it trains, and how a user chooses them.

A tracker is four functions. To add one, write a class with these and a line in `TRACKERS`.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from etils import epath

from rare_retention.errors import UserError


class Tracker(Protocol):
    """Where scalars go."""

    def begin(self, step: int) -> None:
        """Begins, or goes on from a state: what was logged of later ones will be logged again."""

    def log(self, step: int, time: float, scalars: Mapping[str, float]) -> None:
        """Takes numbers by name.

        Args:
            step: updates applied to the state that they are of.
            time: when it was measured, in seconds since 1970.
            scalars: such as {"accuracy/addition/4M": 0.9}.
        """

    def flush(self) -> None:
        """Makes what was logged visible to who looks on."""

    def close(self) -> None:
        """Flushes, and lets go of what is open."""


class Place(NamedTuple):
    """What a tracker is told of a run.

    Attributes:
        folder: of the run.
        label: its name in its study; "" of a run by itself.
        study: name of the study.
        config: of the run, as JSON values.
    """

    folder: epath.Path
    label: str
    study: str
    config: Mapping[str, Any]


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
        from rare_retention.watch.tensorboard import TensorBoard

        return TensorBoard(place.folder)
    from rare_retention.watch.weights_and_biases import WeightsAndBiases

    return WeightsAndBiases(place)
