"""How long the heartbeats of others have stood still, from one look at them to the next."""

import time
from collections.abc import Callable, Hashable

from etils import epath


class Pulses:
    """What heartbeats were when they were last looked at, and since when by this process's clock.

    Who looks at many locks again and again need not stand and watch each of them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Has seen nothing yet.

        Args:
            clock: seconds that only go forward.
        """
        self._clock = clock
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def silent(self, path: epath.Path, pulse: Hashable) -> float:
        """Seconds since a heartbeat was first seen as it is now; 0 at the first look.

        Args:
            path: of what it is the heartbeat of.
            pulse: what changes with every beat.
        """
        now = self._clock()
        before, since = self._seen.get(str(path), (None, now))
        if before != pulse:
            since = now
        self._seen[str(path)] = (pulse, since)
        return now - since
