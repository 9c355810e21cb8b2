"""Scalars for TensorBoard, in event files of the run's folder.

Each start of a run writes a file of its own, named by the state that it goes on from: TensorBoard
reads them in that order. On a disk it grows by what was measured since the last flush; objects in a
bucket cannot grow, so that there each flush makes a new one. A start that goes back to an earlier
state says so, and TensorBoard drops what it had read beyond it.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from etils import epath
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

from rare_retention.record.files import disk, listed, write

FOLDER = "tensorboard"

_NAME = "events.out.tfevents."


class TensorBoard:
    """Writes the scalars of one run."""

    def __init__(self, folder: epath.Path) -> None:
        """Names the place; nothing is written yet.

        Args:
            folder: of the run.
        """
        self._folder = folder / FOLDER
        self._remote = "://" in str(folder)
        self._path: epath.Path | None = None
        self._events: list[Event] = []

    def begin(self, step: int) -> None:
        """Removes files of later states, and has the others forgotten beyond `step`."""
        for path in listed(self._folder, f"{_NAME}*"):
            if _first(path) > step:
                path.unlink(missing_ok=True)
        start = SessionLog(status=SessionLog.START)
        self._events = [Event(step=step + 1, wall_time=time.time(), session_log=start)]
        self._path = None

    def log(self, step: int, time: float, scalars: Mapping[str, float]) -> None:
        """Takes numbers by name, `Tracker.log`."""
        values = [Summary.Value(tag=name, simple_value=own) for name, own in scalars.items()]
        self._events.append(Event(step=step, wall_time=time, summary=Summary(value=values)))

    def flush(self) -> None:
        """Writes what was logged.

        Raises:
            UserError: the disk is full.
        """
        first = next((event for event in self._events if event.HasField("summary")), None)
        if first is None:
            return
        if self._path is not None and not self._remote:
            with disk(self._path), self._path.open("ab") as file:
                file.write(_records(self._events))
        else:
            self._path = self._folder / f"{_NAME}{first.step:012d}"
            head = Event(wall_time=first.wall_time, file_version="brain.Event:2")
            content = _records([head, *self._events])
            write(self._path, lambda file: file.write(content))
        self._events = []

    def close(self) -> None:
        """Writes what was logged; errors as in `flush`."""
        self.flush()


def _first(path: epath.Path) -> int:
    """First state of an event file; -1 of one that was named otherwise."""
    number = path.name.removeprefix(_NAME).partition(".")[0]
    return int(number) if number.isdecimal() else -1


def _records(events: list[Event]) -> bytes:
    """Events as TensorBoard's files have them: each with its length and two checksums."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "events"
        writer = RecordWriter(str(path))
        for event in events:
            writer.write(event.SerializeToString())
        writer.close()
        return path.read_bytes()
