"""The watcher of a run: what the loop tells of its progress goes to all who look on.

It shows and writes, and changes nothing that is computed. Once training has begun, what it cannot
write is said once and left out: the run goes on.
"""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import jax
import numpy as np
from etils import epath

from rare_retention.config import to_dict
from rare_retention.experiment import Run
from rare_retention.parallel import is_primary
from rare_retention.record.live import Live, loss_by_size, write_live
from rare_retention.record.lock import Lost
from rare_retention.record.manifest import Manifest
from rare_retention.settings.setting import labels
from rare_retention.train.plan import quantities
from rare_retention.train.updates import learning_rate
from rare_retention.watch import devices
from rare_retention.watch.bar import Bar, words
from rare_retention.watch.choosing import open_tracker
from rare_retention.watch.compilation import Compilation
from rare_retention.watch.scalars import scalars, students_named
from rare_retention.watch.speed import Speed, per_second
from rare_retention.watch.tracker import Place, Tracker
from rare_retention.watch.watching import Watching

FLUSH = 30.0
"""Seconds between two flushes of the trackers."""

WRITE = 10.0
"""Seconds between two versions of `progress.json`."""


class Watcher:
    """Watches one run while it is trained; a context manager.

    Only the first of several processes shows and writes; all take part in where calls end.
    """

    def __init__(self, watching: Watching, run: Run, folder: epath.Path, label: str) -> None:
        """Opens nothing yet.

        Args:
            watching: what the user has asked to see.
            run: that is trained.
            folder: of the run.
            label: its name on the bar and in trackers.
        """
        self._watching, self._run, self._folder, self._label = watching, run, folder, label
        self._writes, self._own = is_primary(), False
        setting = run.setting
        self._about = Manifest(
            students=setting.family.students,
            tasks=setting.task_names,
            watch=setting.watch_ids,
            labels=labels(setting),
            quantities=quantities(run),
        )
        self._peaks = _peaks(run)
        self._schedule: dict[int, float] = {}
        self._speed = Speed()
        self._compilation = Compilation(self._compiles)
        self._trackers: list[Tracker] = []
        self._bar: Bar | None = None
        self._losses: np.ndarray = np.zeros(0)
        self._live = Live(step=run.start, steps=run.steps, doing="starting")
        self._flushed = self._wrote = 0.0
        self._said: set[str] = set()

    def __enter__(self) -> "Watcher":
        self._compilation.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._compilation.__exit__()
        if self._watching.profiler is not None:
            self._safely("profile", self._watching.profiler.leave)
        if isinstance(error, Lost):
            return  # the folder is another process's
        self._live = dataclasses.replace(self._live, doing="left")
        self._write_live()
        for tracker in self._trackers:
            self._safely("tracker", tracker.close)

    def begins(self) -> None:
        """The folder is this run's own: from now on it may be written."""
        self._own = True
        self._live = dataclasses.replace(self._live, doing="starting")
        self._write_live()

    @contextlib.contextmanager
    def training(self, step: int) -> Iterator[None]:
        """While entered, the run goes on from a state; what was logged of later ones comes again.

        Args:
            step: of the state.

        Raises:
            UserError: a tracker cannot be opened.
        """
        if self._writes:
            place = Place(self._folder, self._label, self._watching.study, to_dict(self._run))
            for name in self._watching.trackers:
                tracker = open_tracker(name, place)
                tracker.begin(step)
                self._trackers.append(tracker)
        self._live = dataclasses.replace(self._live, step=step, doing="starting")
        self._flushed = time.monotonic()
        self._speed.begin(step, self._flushed, self._compilation.seconds)
        self._bar = Bar(self._label, step, self._run.steps, quiet=not self._writes)
        try:
            yield
        finally:
            self._bar.close()
            self._bar = None

    def stops(self, stops: Sequence[int], start: int) -> tuple[int, ...]:
        """States at which calls must end: those of the plan, and those that a profile needs.

        Args:
            stops: of the plan.
            start: state that the run goes on from.
        """
        steps = np.array([0, *stops])
        with jax.numpy_dtype_promotion("standard"):  # Optax mixes its step count with floats
            shares = learning_rate(self._run.optimizer, 1.0)(np.maximum(steps - 1, 0))
        rates = np.broadcast_to(np.asarray(shares, np.float64), steps.shape)
        self._schedule = dict(zip(steps.tolist(), rates.tolist(), strict=True))
        profiler = self._watching.profiler
        own = profiler.stops(start, self._run.steps) if profiler is not None else ()
        return tuple(sorted({*stops, *own}))

    def calls(self, start: int) -> None:
        """A compiled call is about to begin from a state."""
        if self._watching.profiler is not None:
            self._watching.profiler.calls(start, self._folder)

    def reached(self, step: int, state: Any) -> None:
        """A call has been given to the devices.

        Args:
            step: that it leads to.
            state: what it leads to, still on the devices.
        """
        profiler, now = self._watching.profiler, time.monotonic()
        self._speed.reached(step, now, self._compilation.seconds)
        if profiler is not None and profiler.reached(step, state):
            now = time.monotonic()  # tracing has slowed these steps, and writing takes a while
            self._speed.begin(step, now, self._compilation.seconds)
        rate = self._speed.rate or self._live.rate
        self._live = dataclasses.replace(self._live, step=step, rate=rate, doing="training")
        left, shown = self._run.steps - step, self._live.learning_rate
        if self._bar is not None:
            self._bar.reached(step, words(left, rate, self._losses.tolist(), shown))
        if now - self._wrote >= WRITE:
            self._write_live()
        if now - self._flushed >= FLUSH:
            self._flushed = now
            for tracker in self._trackers:
                self._safely("tracker", tracker.flush)

    def measured(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """A measured state has come from the devices.

        Args:
            step: of the state.
            values: measured, name -> [S, ...] of S students.
        """
        self._safely("scalars", lambda: self._show(step, values))

    def _show(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        rates = self._peaks * self._schedule.get(step, np.nan)
        if "train_loss" in values:
            self._losses = np.asarray(values["train_loss"], np.float64)
            self._live = dataclasses.replace(
                self._live,
                loss=loss_by_size(self._about.students, self._losses),
                loss_step=step,
                learning_rate=float(rates[0]),
            )
        if not self._trackers:
            return
        found = scalars(self._about, values) | self._of_the_job()
        if "train_loss" in values:
            names = students_named(self._about.students)
            each = zip(names, rates.tolist(), strict=True)
            found |= {f"learning_rate/{name}": rate for name, rate in each}
        for tracker in self._trackers:
            tracker.log(step, time.time(), found)

    def _of_the_job(self) -> dict[str, float]:
        """Speed and memory at this moment, as far as they are known."""
        found = devices.memory(jax.local_devices())
        if (rate := self._speed.rate) is None:
            return found
        run, setting = self._run, self._run.setting
        unit = "tokens" if setting.row_tokens > 1 else "rows"
        flops = setting.family.flops(run.batch)
        every = sum(flops[student.size] for student in self._about.students)
        each = devices.peak(jax.devices()[0].device_kind)
        count = int(np.prod(list(run.mesh.sizes(jax.device_count()).values())))
        peak = each * count if each else None
        return found | dict(per_second(rate, unit, run.batch * setting.row_tokens, every, peak))

    def _compiles(self) -> None:
        if self._live.doing != "compiling":
            self._live = dataclasses.replace(self._live, doing="compiling")
            if self._bar is not None:
                self._bar.say("compiling")
            self._write_live()

    def _write_live(self) -> None:
        self._wrote = time.monotonic()
        if self._writes and self._own:
            live = dataclasses.replace(self._live, time=round(time.time(), 1))
            self._safely("progress.json", lambda: write_live(self._folder, live))

    def _safely(self, what: str, function: Callable[[], object]) -> None:
        """Calls what only shows something: training goes on without it, and says so once."""
        try:
            function()
        except Exception as error:
            if what not in self._said:
                self._said.add(what)
                why = " ".join(str(error).split())
                warnings.warn(
                    f"{self._folder}: {what}: not written ({type(error).__name__}: {why}); "
                    "training goes on without it",
                    stacklevel=2,
                )


def _peaks(run: Run) -> np.ndarray:
    """Peak learning rate of each student [S]."""
    groups = [student.group for student in run.setting.family.students]
    rates = run.optimizer.rates(groups)
    return np.array([rates[group] for group in groups], np.float64)
