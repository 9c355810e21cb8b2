import errno

import numpy as np
import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import metrics
from rare_retention.record.metrics import Metrics, cut, read


def values(step):
    return {"loss": np.full((2, 3), step, np.float32), "residual": np.array([step, -step], float)}


def fill(folder, steps, block=3):
    store = Metrics(folder, ("a", "b"))
    for i, step in enumerate(steps, 1):
        store.add(step, values(step))
        if i % block == 0:
            store.flush()
    store.flush()


def test_what_is_written_is_read(tmp_path):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 80, 10))
    found = read(folder)
    assert found["step"].tolist() == list(range(0, 80, 10))
    np.testing.assert_array_equal(found["loss"][:, 1, 2], found["step"])
    assert len(list((folder / "metrics").iterdir())) == 3


@pytest.mark.parametrize("name", ["e[2]", "e*", "e?", "50% off {a,b} #1"])
def test_a_folder_may_be_called_as_patterns_are(name, tmp_path):
    folder = epath.Path(tmp_path / "runs" / name / "x")
    fill(folder, range(0, 80, 10))
    assert read(folder)["step"].tolist() == list(range(0, 80, 10))


def test_cut_removes_scalars_with_their_block(tmp_path):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 80, 10))
    assert len(list((tmp_path / "tensorboard").iterdir())) == 3
    cut(folder, 25)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_a_value_missing_at_some_states_is_nan(tmp_path):
    folder = epath.Path(tmp_path)
    store = Metrics(folder, ("a",))
    store.add(0, {"loss": np.zeros((1, 2))})
    store.add(1, {"loss": np.ones((1, 2)), "train_loss": np.array([5.0])})
    store.flush()
    np.testing.assert_array_equal(read(folder)["train_loss"][:, 0], [np.nan, 5.0])


@pytest.mark.parametrize("step", [-1, 0, 25, 30, 70])
def test_cut_removes_later_states_only(tmp_path, step):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 80, 10))
    cut(folder, step)
    kept = [s for s in range(0, 80, 10) if s <= step]
    assert read(folder).get("step", np.array([])).tolist() == kept


def test_a_damaged_block_is_named(tmp_path):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 80, 10))
    path = sorted((folder / "metrics").iterdir())[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(UserError) as caught:
        read(folder)
    assert str(path) in str(caught.value) and "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 30, 10))
    store = Metrics(folder, ("a", "b"))
    store.add(30, values(30))

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(metrics.np, "savez_compressed", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        store.flush()
    monkeypatch.undo()
    assert read(folder)["step"].tolist() == [0, 10, 20]
    assert not [path for path in (folder / "metrics").iterdir() if path.name.endswith(".tmp")]
    store.flush()  # what was not written is still held, and is written once there is room
    assert read(folder)["step"].tolist() == [0, 10, 20, 30]
