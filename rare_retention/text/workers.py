"""Work on many things at once, on threads that nobody has to wait for when the program is left."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

LEAVE = 2.0
"""Seconds that calls under way have to end in, once nobody wants their answers any more."""


def each(
    function: Callable[[T], R], items: Sequence[T], threads: int, stop: threading.Event
) -> Generator[tuple[T, R | BaseException], None, None]:
    """Calls a function on each item, on several threads.

    Where the iterator is closed early, after Ctrl-C for instance, `stop` is set and no more calls
    begin. Those under way have `LEAVE` seconds to end in; threads that are busy for longer do not
    keep the program from leaving.

    Args:
        function: of one item.
        items: what to call it on, in this order.
        threads: calls at a time.
        stop: set once no more answers are wanted, for the calls to look at.

    Yields:
        Item and answer, or the error that came instead, as they come.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[T, R | BaseException]] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def work() -> None:
        while not stop.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((item, function(item)))
            except BaseException as error:
                answers.put((item, error))

    pool = [
        threading.Thread(target=work, daemon=True, name=f"worker {i}")
        for i in range(min(threads, len(items)))
    ]
    for thread in pool:
        thread.start()
    try:
        for _ in items:
            yield answers.get()
    finally:
        stop.set()
        end = time.monotonic() + LEAVE
        for thread in pool:
            thread.join(max(end - time.monotonic(), 0))
