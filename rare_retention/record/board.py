"""Scalars for TensorBoard: one event file for each block of metrics, each whole or absent.

TensorBoard reads the event files of a folder one after another, so that files cut off with their
block are forgotten, and no writer has to stay open in the background.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from etils import epath
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

from rare_retention.record.files import write

FOLDER = "tensorboard"


def board_path(folder: epath.Path, step: int) -> epath.Path:
    """Event file of the block of a run that begins with state `step`."""
    return folder / FOLDER / f"events.out.tfevents.{step:012d}"


def write_board(
    folder: epath.Path,
    students: Sequence[str],
    rows: Sequence[tuple[int, float, Mapping[str, np.ndarray]]],
) -> None:
    """Writes the scalars of some measured states.

    Args:
        folder: of the run.
        students: label of each student, S of them.
        rows: (step, time in seconds since 1970, values [S, ...] by name); only what is one number a
            student is written, the rest is for the results, not for a monitor.
    """
    events = [Event(wall_time=rows[0][1], file_version="brain.Event:2")]
    for step, time, values in rows:
        scalars = [
            Summary.Value(tag=f"{name}/{student}", simple_value=float(number))
            for name, value in values.items()
            if value.size == len(students)
            for student, number in zip(students, value.reshape(-1), strict=True)
        ]
        events.append(Event(step=step, wall_time=time, summary=Summary(value=scalars)))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "events"
        writer = RecordWriter(str(path))
        for event in events:
            writer.write(event.SerializeToString())
        writer.close()
        content = path.read_bytes()
    write(board_path(folder, rows[0][0]), lambda file: file.write(content))
