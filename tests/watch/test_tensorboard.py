"""Event files for TensorBoard, read by their format: length, checksum, event, checksum."""

import numpy as np
from etils import epath
from tensorboardX.proto.event_pb2 import Event

from rare_retention.record.board import board_path, write_board


def events(path):
    """The events of a file."""
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        size = int.from_bytes(content[at : at + 8], "little")
        found.append(Event.FromString(content[at + 12 : at + 12 + size]))
        at += 16 + size
    return found


def test_tensorboard_reads_one_number_a_student(tmp_path):
    folder = epath.Path(tmp_path)
    rows = [
        (step, 1e9 + step, {"residual": np.array([[step], [-step]]), "loss": np.ones((2, 3))})
        for step in (20, 30)
    ]
    write_board(folder, ("a", "b"), rows)
    (path,) = (folder / "tensorboard").iterdir()
    assert path == board_path(folder, 20)
    head, *found = events(path)
    assert head.file_version == "brain.Event:2" and head.wall_time == 1e9 + 20
    assert [(event.step, event.wall_time) for event in found] == [(20, 1e9 + 20), (30, 1e9 + 30)]
    scalars = {(e.step, v.tag): v.simple_value for e in found for v in e.summary.value}
    assert scalars == {
        (step, f"residual/{name}"): sign * step
        for step in (20, 30)
        for name, sign in (("a", 1), ("b", -1))
    }


def test_event_files_sort_as_their_steps(tmp_path):
    """TensorBoard reads them one after another in the order of their names."""
    paths = [board_path(epath.Path(tmp_path), step) for step in (9, 10, 10**9, 10**10)]
    assert sorted(paths, key=str) == paths
    assert all("tfevents" in path.name for path in paths)  # or TensorBoard passes it over
