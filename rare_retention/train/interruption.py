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
        self._woken: tuple[int, int, int] | None = None

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
            self._listen()
        return self

    def _listen(self) -> None:
        """Has a thread say at once that a signal came: handlers wait until a call has ended."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        self._woken = (read, write, signal.set_wakeup_fd(write, warn_on_full_buffer=False))
        threading.Thread(target=_say_once, args=(read,), daemon=True, name="signals").start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._woken is not None:
            _, write, before = self._woken
            signal.set_wakeup_fd(before)
            os.close(write)  # at which the thread closes the other end and leaves
            self._woken = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


def _say_once(read: int) -> None:
    """Writes a line at the first signal, past Python's buffers; ends when the pipe is closed."""
    said = False
    while numbers := os.read(read, 64):
        if not said and {signal.SIGINT, signal.SIGTERM}.intersection(numbers):
            with contextlib.suppress(OSError):
                os.write(2, f"\n{SAVING}\n".encode())
            said = True
    os.close(read)
