"""How many steps one compiled call takes, so that no signal has to wait for long."""

import time
from collections.abc import Callable
from typing import Any

LIMIT = 8.0
"""Seconds that a call may take, unless one step takes longer."""

AHEAD = 1.0
"""Seconds of a call from which on it is waited for; the host runs ahead of a shorter one."""


class Pace:
    """The measured time of a step, and how many steps of it fit into a call.

    A call cannot be interrupted, and one of many steps of a large model would take minutes.

    Attributes:
        seconds: a step, the smaller of the last two measurements, since the first call of a program
            has its compilation; None before the first. Hosts set it to the slowest one's, so that
            all of them cut their calls alike.
    """

    def __init__(self, limit: float = LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is known yet.

        Args:
            limit: seconds that a call may take.
            clock: seconds, from any point on.
        """
        self.seconds: float | None = None
        self._limit, self._clock = limit, clock
        self._before: float | None = None
        self._mark = clock()
        self._under_way: tuple[Any, int] | None = None

    def steps(self, wanted: int) -> int:
        """Steps of the next call, at least one.

        Args:
            wanted: steps up to where it has to end.
        """
        if self.seconds is None:
            return 1
        return max(1, min(wanted, int(self._limit / max(self.seconds, 1e-9))))

    def called(self, result: Any, steps: int) -> None:
        """Notes a call that has been started, and waits for the one before, or for both.

        Args:
            result: an array of the call, which no later one takes as its own.
            steps: that it takes.
        """
        before, self._under_way = self._under_way, (result, steps)
        if before is not None:
            self._wait(*before)
        if self.seconds is None or self.seconds * steps > AHEAD:
            self._wait(result, steps)
            self._under_way = None

    def _wait(self, result: Any, steps: int) -> None:
        result.block_until_ready()
        now = self._clock()
        taken, self._mark = (now - self._mark) / steps, now
        self.seconds = taken if self._before is None else min(taken, self._before)
        self._before = taken
