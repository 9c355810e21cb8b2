"""Ctrl-C and SIGTERM, turned into a request to save and leave."""

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SAVING = "stopping: saves after the steps under way and leaves; Ctrl-C again leaves at once"


class Interruption:
    """While entered, the first signal asks for a stop; a second Ctrl-C stops at once.

    Attributes:
        requested: whether a signal came.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.requested:
            _say(SAVING)
        self.requested = True


def _say(line: str) -> None:
    """Writes a line at once, past Python's buffers, into which the signal may have come."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{line}\n".encode())
