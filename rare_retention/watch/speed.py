"""How fast a run is: steps a second of late, without what was spent on compilation."""

from collections import deque
from collections.abc import Mapping

WINDOW = 30.0
"""Seconds over which the rate is taken."""

_POINTS = 100  # in that window, however quick the calls are


class Speed:
    """Steps a second over the last `WINDOW` seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[int, float]] = deque()

    def begin(self, step: int, now: float, compiled: float) -> None:
        """Forgets what was before, such as the time that it took to load a checkpoint."""
        self._points.clear()
        self.reached(step, now, compiled)

    def reached(self, step: int, now: float, compiled: float) -> None:
        """Takes that a step was reached.

        Args:
            step: updates applied.
            now: seconds, by any clock that only goes forward.
            compiled: seconds that were spent on compilation until now, which do not count.
        """
        time = now - compiled
        if len(self._points) > 1 and time - self._points[-2][1] < WINDOW / _POINTS:
            self._points.pop()
        self._points.append((step, time))
        while len(self._points) > 2 and time - self._points[1][1] >= WINDOW:
            self._points.popleft()

    @property
    def rate(self) -> float | None:
        """Steps a second; None before any time has passed."""
        (first, begun), (last, now) = self._points[0], self._points[-1]
        return (last - first) / (now - begun) if now > begun and last > first else None


def per_second(
    rate: float, unit: str, each_step: int, flops: float, peak: float | None
) -> Mapping[str, float]:
    """Speed in the units that are compared between machines.

    Args:
        rate: steps a second.
        unit: what a step is made of, "tokens" or "rows".
        each_step: how many of them.
        flops: operations of a step of all students.
        peak: operations a second that all devices together have at most; None where not known.

    Returns:
        Name -> number. `mfu` is the share of that peak which the matrix products of the models
        take up, whatever else is computed: model FLOPs utilisation.
    """
    found = {"steps_per_second": rate, f"{unit}_per_second": rate * each_step}
    return found | ({"mfu": rate * flops / peak} if peak else {})
