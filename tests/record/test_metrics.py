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
    store = Metrics(folder, "run")
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


def test_a_value_missing_at_some_states_is_nan(tmp_path):
    folder = epath.Path(tmp_path)
    store = Metrics(folder, "run")
    store.add(0, {"loss": np.zeros((1, 2))})
    store.add(1, {"loss": np.ones((1, 2)), "train_loss": np.array([5.0])})
    store.flush()
    np.testing.assert_array_equal(read(folder)["train_loss"][:, 0], [np.nan, 5.0])


@pytest.mark.parametrize("step", [-1, 0, 25, 30, 70])
def test_cut_removes_later_states_only(tmp_path, step):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 80, 10))
    cut(folder, "run", step)
    kept = [s for s in range(0, 80, 10) if s <= step]
    assert read(folder).get("step", np.array([])).tolist() == kept


@pytest.mark.parametrize("flipped", range(0, 1000, 37))
def test_a_damaged_block_is_named_or_has_the_same_values(tmp_path, flipped):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 80, 10))
    before = read(folder)
    path = sorted((folder / "metrics").iterdir())[1]
    content = bytearray(path.read_bytes())
    content[flipped % len(content)] ^= 0xFF
    path.write_bytes(bytes(content))
    if (why := metrics.damaged(folder, "run").get(path.name)) is not None:
        assert str(path) in str(why) and "damaged" in str(why) and "\n" not in str(why)
        return
    found = read(folder)  # a byte that no reader looks at, such as the time of the file
    assert found.keys() == before.keys()
    for name, own in before.items():
        np.testing.assert_array_equal(found[name], own)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 30, 10))
    store = Metrics(folder, "run")
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


def swapped(folder):
    first, second, _ = sorted((folder / "metrics").iterdir())
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def renamed(folder):
    path = sorted((folder / "metrics").iterdir())[1]
    path.rename(path.with_name("000000000030-000000000060.npz"))


def foreign(folder):
    other = folder / "other"
    store = Metrics(other, "another run")
    for step in (30, 40, 50):
        store.add(step, values(step))
    name = store.flush()
    (other / "metrics" / name).replace(folder / "metrics" / name)


def edited(folder):
    path = sorted((folder / "metrics").iterdir())[1]
    with np.load(path) as arrays:
        changed = dict(arrays)
    changed["loss"] = changed["loss"] + 1
    with path.open("wb") as file:
        np.savez_compressed(file, **changed)


def unsealed(folder):
    path = sorted((folder / "metrics").iterdir())[1]
    with np.load(path) as arrays:
        rest = {name: own for name, own in arrays.items() if name != "seal"}
    with path.open("wb") as file:
        np.savez_compressed(file, **rest)


@pytest.mark.parametrize("change", [swapped, renamed, foreign, edited, unsealed])
def test_a_block_is_that_of_its_run_and_name_or_is_refused(tmp_path, change):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 80, 10))
    change(folder)
    with pytest.raises(UserError, match=r"edited or damaged|belongs elsewhere") as caught:
        read(folder, "run")
    assert "\n" not in str(caught.value)
    assert len(metrics.damaged(folder, "run")) in (1, 2)


def test_blocks_of_older_runs_have_no_seals(tmp_path):
    folder = epath.Path(tmp_path)
    fill(folder, range(0, 80, 10))
    unsealed(folder)
    assert read(folder, "run", sealed=False)["step"].tolist() == list(range(0, 80, 10))
