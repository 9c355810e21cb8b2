"""The contract of a tracker: where the scalars of a run go while it trains.

To add one, write a class with these four functions and a line in `watch.choosing.TRACKERS`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from etils import epath


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
