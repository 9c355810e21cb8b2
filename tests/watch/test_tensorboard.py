"""Event files for TensorBoard, read by their format: length, checksum, event, checksum."""

import numpy as np
import pytest
from etils import epath

pytest.importorskip("tensorboardX")
from tensorboardX.proto.event_pb2 import Event, SessionLog

from rare_retention.watch.tensorboard import FOLDER, TensorBoard


def events(path):
    """The events of a file."""
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        size = int.from_bytes(content[at : at + 8], "little")
        found.append(Event.FromString(content[at + 12 : at + 12 + size]))
        at += 16 + size
    return found


def files(folder):
    return sorted((folder / FOLDER).iterdir(), key=lambda path: path.name)


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path)


def log(board, *steps):
    for step in steps:
        board.log(step, 1e9 + step, {"loss/4M": float(step), "accuracy/addition/4M": 0.5})


def test_a_start_is_one_file_that_grows(folder):
    board = TensorBoard(folder)
    board.begin(-1)
    board.flush()
    assert not (folder / FOLDER).exists()  # nothing to say
    log(board, 0, 20)
    board.flush()
    (path,) = files(folder)
    before = path.read_bytes()
    log(board, 30)
    assert path.read_bytes() == before  # until it is flushed
    board.close()
    (path,) = files(folder)
    assert path.read_bytes().startswith(before)
    head, begin, *told = events(path)
    assert head.file_version == "brain.Event:2"
    assert begin.session_log.status == SessionLog.START and begin.step == 0
    assert [(e.step, e.wall_time) for e in told] == [(s, 1e9 + s) for s in (0, 20, 30)]
    values = {value.tag: value.simple_value for value in told[1].summary.value}
    assert values == {"loss/4M": 20.0, "accuracy/addition/4M": 0.5}


def test_a_start_that_goes_back_forgets_what_comes_again(folder):
    first = TensorBoard(folder)
    first.begin(-1)
    log(first, 0, 10, 20)
    first.close()
    lost = TensorBoard(folder)
    lost.begin(20)
    log(lost, 30)
    lost.close()
    again = TensorBoard(folder)
    again.begin(10)
    log(again, 20, 30)
    again.close()
    one, two = files(folder)
    assert [event.step for event in events(one)[2:]] == [0, 10, 20]
    _, begin, *told = events(two)
    # What is read of state 11 and later is dropped here, so that 20 stands once.
    assert begin.session_log.status == SessionLog.START and begin.step == 11
    assert [event.step for event in told] == [20, 30]


def test_files_of_a_former_version_are_cut_off_as_well(folder):
    (folder / FOLDER).mkdir()
    for step in (0, 500):
        (folder / FOLDER / f"events.out.tfevents.{step:012d}").write_bytes(b"")
    TensorBoard(folder).begin(250)
    assert [path.name[-3:] for path in files(folder)] == ["000"]


def test_event_files_sort_as_their_steps(folder):
    """TensorBoard reads them one after another in the order of their names."""
    steps = (9, 10, 10**9, 10**10)
    for step in steps:
        board = TensorBoard(folder)
        board.begin(step - 1)
        log(board, step)
        board.close()
    assert [events(path)[-1].step for path in files(folder)] == list(steps)
    assert all("tfevents" in path.name for path in files(folder))  # or they are passed over


def test_objects_of_a_bucket_cannot_grow(folder, monkeypatch):
    board = TensorBoard(folder)
    monkeypatch.setattr(board, "_remote", True)
    board.begin(-1)
    for step in (0, 20):
        log(board, step)
        board.flush()
    assert [events(path)[0].file_version for path in files(folder)] == ["brain.Event:2"] * 2
    assert [events(path)[-1].step for path in files(folder)] == [0, 20]


def test_tensorboard_itself_reads_them(folder):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = TensorBoard(folder)
    first.begin(-1)
    log(first, 0, 10, 20)
    first.close()
    again = TensorBoard(folder)
    again.begin(10)
    log(again, 20, 30)
    again.close()
    read = reader.EventAccumulator(str(folder / FOLDER))
    read.Reload()
    assert [point.step for point in read.Scalars("loss/4M")] == [0, 10, 20, 30]
    np.testing.assert_allclose([p.value for p in read.Scalars("loss/4M")], [0, 10, 20, 30])
