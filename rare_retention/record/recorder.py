"""The recorder of a run: takes each measured state and keeps of it what the plan asks for."""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from rare_retention.errors import Damaged, UserError
from rare_retention.parallel import any_host, is_primary
from rare_retention.record import metrics, records
from rare_retention.record.checkpoints import Store
from rare_retention.record.manifest import Manifest, read_manifest, write_manifest
from rare_retention.record.records import RESUME, RETENTION, STATES
from rare_retention.record.seal import Foreign


class Recorder:
    """Writes metrics, retention snapshots, whole states and checkpoints of one run.

    Measured values are fetched one stop late, so that the host never waits for the step that the
    devices have just begun.
    """

    def __init__(
        self,
        folder: epath.Path,
        identity: str,
        *,
        snapshots: tuple[int, ...],
        checkpoints: tuple[int, ...],
        states: Mapping[int, Sequence[int]],
        keep: int,
        about: Manifest,
        measured: Callable[[int, Mapping[str, np.ndarray]], object] = lambda step, values: None,
    ) -> None:
        """Opens the records of a run.

        Args:
            folder: of the run.
            identity: fingerprint of its recipe.
            snapshots: states whose parameters are kept.
            checkpoints: states from which it can be resumed.
            states: states that are kept whole -> slots of each task in all batches before.
            keep: newest checkpoints that stay.
            about: the manifest, as far as it does not change while the run goes on.
            measured: is told the step and the values of each measured state, once they are here.
        """
        self._folder = folder
        self._snapshots = frozenset(snapshots)
        self._checkpoints = frozenset(checkpoints)
        self._whole = states
        self._about = dataclasses.replace(about, identity=identity)
        self._resume = Store(folder / RESUME, identity, keep)
        self._retention = Store(folder / RETENTION, identity)
        whole = bool(states) or (folder / STATES).exists()
        self._states = Store(folder / STATES, identity) if whole else None
        self._labels = [student.label for student in about.students]
        self._identity = identity
        self._metrics = metrics.Metrics(folder, identity)
        self._measured = measured
        self._pending: tuple[int, dict[str, jax.Array]] | None = None
        self._halted: dict[str, int] = {}
        self._skipped: dict[str, int] = {}
        self._start = time.monotonic()
        earlier = read_manifest(folder)
        self._spent = earlier.seconds if earlier else 0.0
        self._sealed = earlier.sealed if earlier else False  # without one older blocks may stand
        self._listed = records.kept(folder) | (dict(earlier.records) if earlier else {})

    @property
    def _stores(self) -> list[Store]:
        return [s for s in (self._resume, self._retention, self._states) if s is not None]

    def _lost(self) -> tuple[int, str] | None:
        """The first state of which something is not there that was kept or has to be, and what."""
        newest = max(self._resume.steps(), default=-1)
        kept = set(self._states.steps()) if self._states is not None else set()
        found = [
            (step, "its whole state, which a branch wants, is not there")
            for step in self._whole
            if step not in kept
        ]
        found += [
            (step, f"{name} is not there any more")
            for listed in (self._listed, self._vouched())
            if (lost := records.first_lost(self._folder, listed))
            for step, name in [lost]
        ]
        blocks = metrics.damaged(self._folder, self._identity, self._sealed)
        for error in blocks.values():
            if isinstance(error, Foreign):
                raise error
        found += [(metrics.span(name)[0], str(error)) for name, error in blocks.items()]
        return min(((step, what) for step, what in found if step <= newest), default=None)

    def _vouched(self) -> Mapping[str, Any]:
        """What had been kept when the newest checkpoint was."""
        for step in reversed(self._resume.steps()):
            with contextlib.suppress(UserError):
                listed: Mapping[str, Any] = self._resume.about(step).get("records", {})
                return listed
        return {}

    def restore(self, abstract: Any, varied: Sequence[str] = ()) -> Any | None:
        """The newest whole checkpoint, with everything recorded after it removed; None without one.

        Where a state that is to be kept whole has been passed without keeping it, or something that
        was recorded is lost or damaged, the newest one before that: the run is trained again from
        there, or from its start.

        Args:
            abstract: the state as `jax.ShapeDtypeStruct` with shardings.
            varied: fields of it that come back as far as the checkpoint has them.

        Raises:
            UserError: there are checkpoints, but none is whole; or what stands there is another
                run's.
        """
        damaged: dict[int, UserError] = {}
        lost = self._lost()
        if lost is not None:
            warnings.warn(
                f"{self._folder}: step {lost[0]:,} was passed, but {lost[1]}; trained again from "
                "before it",
                stacklevel=2,
            )
        for step in reversed(self._resume.steps()):
            if lost is not None and step >= lost[0]:
                continue
            try:
                state = self._resume.restore(step, abstract, varied)
            except UserError as error:
                damaged[step] = error
                continue
            for later, why in damaged.items():
                warnings.warn(f"{why}; set aside, going on from step {step}", stacklevel=2)
                self._resume.set_aside(later)
            self._cut(step)
            return state
        if damaged:
            raise Damaged(
                f"{next(iter(damaged.values()))}; no checkpoint is whole: delete "
                f"{self._folder / RESUME} to train this run from its start"
            )
        self._cut(-1)
        return None

    def _cut(self, step: int) -> None:
        """Removes what was recorded after `step`."""
        if is_primary():
            metrics.cut(self._folder, self._identity, step, self._sealed)
        for store in self._stores:
            for later in store.steps():
                if later > step:
                    store.delete(later)
        self._listed = records.kept(self._folder)

    def record(self, step: int, state: Any, measured: dict[str, jax.Array], *, save: bool) -> None:
        """Takes a measured state.

        Args:
            step: number of updates applied to it.
            state: whole training state, still on the devices.
            measured: its values, each [S, ...].
            save: keep a checkpoint whatever the plan says, because the run is about to stop.
        """
        self._fetch()
        self._pending = (step, measured)
        if step in self._snapshots:
            self._retention.save(step, state.params)
            self._listed[records.RETENTION].append(step)
        if step in self._whole and self._states is not None:
            self._states.save(step, state, {"shown": list(map(int, self._whole[step]))})
        if save or step in self._checkpoints:
            self.save(step, state)

    def save(self, step: int, state: Any) -> None:
        """Keeps a checkpoint, after all that was measured and kept before it."""
        self._fetch()
        self._flush()
        if not step:
            return
        for store in self._stores:
            if store is not self._resume:  # or a kill leaves a checkpoint beyond what was kept
                store.wait()
        self._resume.save(step, state, {"records": self._listed})

    def close(self) -> None:
        """Writes what is still held and waits for saves under way.

        Raises:
            UserError: something that was written is not there any more.
        """
        self._fetch()
        self._flush()
        for store in self._stores:
            store.close()
        lost = records.missing(self._folder, self._listed) if is_primary() else []
        if any_host(bool(lost)):
            what = lost[0] if lost else "something"
            raise Damaged(
                f"{self._folder}: {what} was written and is not there any more: the folder was "
                "away for a while, or something deletes in it; run the same command again, which "
                "trains again what is missing"
            )

    def abandon(self) -> None:
        """Closes the stores after an error, which is what the user is to see."""
        for store in self._stores:
            with contextlib.suppress(Exception):
                store.close()

    def describe(self, status: str, step: int, shown: list[int]) -> None:
        """Writes the manifest.

        Args:
            status: "running", "finished" or "stopped".
            step: state reached.
            shown: rows of each task in all batches so far.
        """
        if is_primary():
            self._listed[records.FILES] = records.kept(self._folder)[records.FILES]
            now = dataclasses.replace(
                self._about,
                status=status,
                step=step,
                shown=tuple(shown),
                seconds=round(self._spent + time.monotonic() - self._start, 1),
                records=self._listed,
                halted=self._halted,
                skipped=self._skipped,
            )
            write_manifest(self._folder, now)

    def _flush(self) -> None:
        if is_primary() and (name := self._metrics.flush()):
            self._listed[metrics.FOLDER].append(name)

    def _fetch(self) -> None:
        if self._pending is not None:
            step, measured = self._pending
            self._pending = None
            values = self._of_those_that_go_on({n: np.asarray(v) for n, v in measured.items()})
            if is_primary():
                self._metrics.add(step, values)
                self._measured(step, values)

    def _of_those_that_go_on(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Measured values, NaN of students that have diverged, who is noted.

        Raises:
            FloatingPointError: all have.
        """
        own = dict(values)
        skipped = own.pop("skipped", np.zeros(len(self._labels), int))
        halted = own.pop("halted", np.full(len(self._labels), -1))
        self._skipped = _named(self._labels, skipped, skipped > 0)
        known, self._halted = self._halted, _named(self._labels, halted, halted >= 0)
        for label in self._halted.keys() - known.keys():
            warnings.warn(
                f"{self._folder}: {label} has diverged at step {self._halted[label]:,}, its loss "
                "or gradient is not finite; it is left out from there and the others go on; a "
                "lower optimizer.peak may help",
                stacklevel=2,
            )
        if len(self._halted) == len(self._labels):
            self._flush()
            raise FloatingPointError(
                f"the loss of {self._labels[0]} is not finite at step {int(halted[0])}, and no "
                "student is left; a lower optimizer.peak may help"
            )
        gone = halted >= 0
        return {name: _without(value, gone) if gone.any() else value for name, value in own.items()}


def _named(labels: Sequence[str], values: np.ndarray, chosen: np.ndarray) -> dict[str, int]:
    """The values of the chosen students, by their labels."""
    return {labels[i]: int(values[i]) for i in np.flatnonzero(chosen).tolist()}


def _without(values: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Values [S, ...] with NaN for some students."""
    left = np.array(values, np.result_type(values.dtype, np.float32))
    left[gone] = np.nan
    return left
