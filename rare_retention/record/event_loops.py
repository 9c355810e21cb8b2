"""Event loops that finish what was begun on them: what a failed restore of Orbax needs."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 60.0
"""Seconds that a loop waits for the reads of a failed restore before it closes all the same."""


class _FinishingLoop(asyncio.SelectorEventLoop):
    def close(self) -> None:
        """Closes the loop when the tasks still on it are done, whatever became of them."""
        left = set() if self.is_closed() else asyncio.all_tasks(self)
        if left:
            done, _ = self.run_until_complete(asyncio.wait(left, timeout=PATIENCE))
            for task in done:
                if not task.cancelled():
                    task.exception()  # asked for, it is not logged as forgotten
        super().close()


class _FinishingLoops(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """A loop whose `close` waits for its tasks."""
        return _FinishingLoop()


@contextmanager
def loops_that_finish() -> Iterator[None]:
    """While entered, every new event loop waits for its tasks before it closes.

    Orbax reads all arrays of a checkpoint at once, on a loop of its own. When one cannot be read it
    closes that loop, and each of the other reads, still under way in a thread of the storage
    library, later ends in "RuntimeError: Event loop is closed": tracebacks on the user's terminal
    beside the one line that says what is damaged.
    """
    usual = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(_FinishingLoops())
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(usual)
