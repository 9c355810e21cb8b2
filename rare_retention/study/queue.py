"""Which unit of a study a worker trains next: the first that is free, found and locked in one step.

Any number of workers share a study. Each looks through its units in their order; what has been
finished or has failed is read from the units' own folders, and who is at work from their locks.
"""

from types import TracebackType
from typing import Any, NamedTuple

from rare_retention.errors import Damaged
from rare_retention.parallel import from_primary, is_primary
from rare_retention.record.files import read_json
from rare_retention.record.holder import STALE
from rare_retention.record.lock import Held, Lock
from rare_retention.record.pulses import Pulses
from rare_retention.study.grid import Unit
from rare_retention.study.progress import FAILURE, Progress

_BUSY, _SETTLED = -1, -2


class Taken:
    """A unit with its lock, which is given back when this context is left.

    Attributes:
        unit: what is to be trained.
        lock: held by the first host of the job for all of them.
    """

    def __init__(self, unit: Unit, lock: Lock) -> None:
        self.unit, self.lock = unit, lock

    def __enter__(self) -> "Taken":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if is_primary():
            self.lock.__exit__()


class Busy(NamedTuple):
    """Nothing is free, but not all is done.

    Attributes:
        units: name of each unit that has to be waited for -> what for. The first host alone knows.
    """

    units: dict[str, str]


class State(NamedTuple):
    """What has become of the units, as their folders say.

    Attributes:
        finished: how many reached their last step.
        failed: name of each failed unit -> why, in one line.
        left: how many are neither.
    """

    finished: int
    failed: dict[str, str]
    left: int


class Queue:
    """The units that one worker may take, one after another.

    Where a job has several hosts, each has one; the first looks and locks for all of them.
    """

    def __init__(
        self,
        progress: Progress,
        retry_failed: bool = False,
        only: Unit | None = None,
        stale: float = STALE,
    ) -> None:
        """Looks at what failed before.

        Args:
            progress: of the study.
            retry_failed: take units that had failed up to now; those that fail from now on, here or
                with another worker, are left alone.
            only: the one unit that may be taken; None for all.
            stale: seconds without a heartbeat after which a holder on another machine has ended.
        """
        self._progress = progress
        self._only = only
        self._units = progress.units if only is None else [only]
        self._named = {unit.name: unit for unit in progress.units}
        self._pulses, self._stale = Pulses(), stale
        self._finished: set[str] = set()
        self._damaged: dict[str, str] = {}
        known = progress.units if retry_failed else []
        self._retried = {unit.name: self._read_failure(unit) for unit in known}
        self._lock: Lock | None = None
        self._busy: dict[str, str] = {}

    def take(self) -> Taken | Busy | None:
        """Takes the first unit that is free; all hosts of the job ask together.

        Returns:
            The unit with its lock; or for what one would have to wait; or None where every unit has
            been finished or has failed.

        Raises:
            Held: the one unit that may be taken is held by another process.
            UserError: a folder cannot be written.
            Damaged: the manifest of the one unit that may be taken is.
        """
        index = from_primary(self._take)
        if index == _SETTLED:
            return None
        if index == _BUSY:
            return Busy(self._busy)
        unit = self._units[index]
        lock, self._lock = self._lock, None
        return Taken(unit, lock or Lock(self._progress.folder(unit.name)))

    def done(self, unit: Unit) -> None:
        """Notes that this worker has trained a unit to its end: it does not take it again."""
        self._finished.add(unit.name)

    def failed(self, unit: Unit, damaged: str | None = None) -> None:
        """Notes that a unit has failed with this worker: it does not take it again.

        Args:
            unit: that has failed.
            damaged: what is wrong with its files, which nothing else records; None where it is not
                that.
        """
        self._retried.pop(unit.name, None)
        if damaged:
            self._damaged[unit.name] = damaged

    def state(self) -> State:
        """What has become of the units."""
        open_ = [unit for unit in self._units if not self._is_finished(unit)]
        reasons = {unit.name: self._failure(unit) for unit in open_}
        failed = {name: reason for name, reason in reasons.items() if reason is not None}
        finished = len(self._units) - len(open_)
        return State(finished, failed, len(open_) - len(failed))

    def _take(self) -> int:
        """The place of the unit that was taken, whose lock is then in `self._lock`."""
        self._busy = {}
        for index, unit in enumerate(self._units):
            if self._is_settled(unit):
                continue
            if self._waits_for_parent(unit):
                self._busy[unit.name] = f"it goes on from {unit.parent}"
                continue
            lock = Lock(self._progress.folder(unit.name), self._stale, pulses=self._pulses)
            try:
                lock.__enter__()
            except Held as held:
                if self._only is not None:
                    raise
                self._busy[unit.name] = held.by
                continue
            if self._is_settled(unit):  # by another worker, since it was looked at
                lock.__exit__()
                continue
            self._lock = lock
            return index
        return _BUSY if self._busy else _SETTLED

    def _is_settled(self, unit: Unit) -> bool:
        return self._is_finished(unit) or self._failure(unit) is not None

    def _is_finished(self, unit: Unit) -> bool:
        try:
            if unit.name not in self._finished and self._progress.is_finished(unit):
                self._finished.add(unit.name)
        except Damaged as error:
            if self._only is not None:
                raise
            self.failed(unit, str(error))
        return unit.name in self._finished

    def _waits_for_parent(self, unit: Unit) -> bool:
        """Whether others, or this worker later, have to finish what it goes on from.

        Asked for by name it is tried: what it lacks is then said.
        """
        if not unit.parent or self._only is not None:
            return False
        return not self._is_finished(self._named[unit.parent])

    def _failure(self, unit: Unit) -> str | None:
        """Why a unit is not to be trained, in one line; None where nothing keeps it from that."""
        if unit.parent and self._failure(self._named[unit.parent]) is not None:
            return f"{unit.parent}, which it goes on from, has failed"
        if unit.name in self._damaged:
            return self._damaged[unit.name]
        found = self._read_failure(unit)
        if found is None or self._retried.get(unit.name) == found:
            return None
        return str(found["reason"])

    def _read_failure(self, unit: Unit) -> Any:
        try:
            return read_json(self._progress.folder(unit.name) / FAILURE)
        except FileNotFoundError:
            return None
        except Damaged as error:
            return {"reason": str(error)}
