"""How a worker waits for units of others: it looks now and then, and leaves when asked to."""

import time
from collections.abc import Callable, Mapping

from rare_retention.train.interruption import Interruption

SHORTEST, LONGEST = 0.5, 10.0
"""Seconds from one look to the next, more each time: many may be looking at shared files."""

_SHOWN = 3  # units that a line names


class Patience:
    """The waiting of one worker."""

    def __init__(self, say: Callable[[str], object]) -> None:
        """Nothing is waited for yet.

        Args:
            say: takes lines for the user.
        """
        self._say, self._seconds = say, SHORTEST
        self._said: frozenset[str] = frozenset()

    def wait(self, units: Mapping[str, str], interruption: Interruption) -> None:
        """Waits a while, or until a signal asks to stop; says for what, where that is news.

        Args:
            units: name of each unit that is waited for -> what for.
            interruption: listens for signals.
        """
        if self._said != units.keys():
            self._said = frozenset(units)
            self._say(f"waiting for units of other workers: {shown(units)}; Ctrl-C leaves")
        end = time.monotonic() + self._seconds
        while not interruption.requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, SHORTEST))
        self._seconds = min(2 * self._seconds, LONGEST)

    def over(self) -> None:
        """There was something to do: the next wait starts with short ones again."""
        self._seconds, self._said = SHORTEST, frozenset()


def shown(units: Mapping[str, str]) -> str:
    """Units with what they are waited for, the first few by name.

    Args:
        units: name of each -> what for.
    """
    named = [f"{name} ({why})" for name, why in list(units.items())[:_SHOWN]]
    more = [f"{len(units) - _SHOWN} more"] * (len(units) > _SHOWN)
    return ", ".join(named + more)
