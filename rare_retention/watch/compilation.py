"""When JAX compiles, and how long that has taken."""

import threading
import time
from collections.abc import Callable
from typing import Any

import jax.monitoring

_EVENTS = "/jax/core/compile/"

_LONG = 0.02  # seconds to trace or lower a program that is worth a word


class Compilation:
    """While entered, listens to JAX.

    Attributes:
        seconds: of wall-clock time spent on tracing, lowering and compiling.
    """

    def __init__(self, begins: Callable[[], object] = lambda: None) -> None:
        """Says nothing yet.

        Args:
            begins: is called when a program of some size is about to be compiled.
        """
        self.seconds = 0.0
        self._begins = begins
        self._thread = 0
        self._spans: list[tuple[float, float]] = []

    def __enter__(self) -> "Compilation":
        self._thread = threading.get_ident()
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._hear)

    def _hear(self, event: str, duration_secs: float, **_: Any) -> None:
        """Takes a span that has just ended; others count only what they have spent here."""
        if not event.startswith(_EVENTS) or threading.get_ident() != self._thread:
            return
        now = time.monotonic()
        self.add(now - duration_secs, now)
        if duration_secs > _LONG and not event.endswith("backend_compile_duration"):
            self._begins()

    def add(self, start: float, stop: float) -> None:
        """Counts a span, and no moment twice: programs are traced inside of others.

        Args:
            start: of the span, seconds; spans come in the order of their ends.
            stop: its end.
        """
        while self._spans and self._spans[-1][0] >= start:
            first, last = self._spans.pop()
            self.seconds -= last - first
        if self._spans:
            start = max(start, self._spans[-1][1])
        self._spans = [*self._spans[-63:], (start, stop)]
        self.seconds += stop - start
