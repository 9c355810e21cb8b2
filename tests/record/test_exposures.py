"""The file that says when a run's watched tasks were shown."""

import numpy as np
import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record.exposures import NAME, read_exposures, write_exposures
from rare_retention.schedule.schedule import Exposures


def exposures(*pairs):
    return Exposures(*np.array(pairs, np.int64).reshape(-1, 2).T)


def test_what_is_written_is_read(tmp_path):
    """Of several tasks, one of which is never shown."""
    made = {
        "recall": exposures((3, 2), (10**12, 1)),
        "sum": exposures(),
        "x y/z": exposures((0, 5)),
    }
    write_exposures(epath.Path(tmp_path), "run", made)
    found = read_exposures(epath.Path(tmp_path))
    assert list(found) == list(made)
    for name, own in made.items():
        assert found[name].steps.tolist() == own.steps.tolist()
        assert found[name].counts.tolist() == own.counts.tolist()
        assert found[name].steps.dtype == np.int64


def test_equal_exposures_make_equal_files(tmp_path):
    for name in ("a", "b"):
        write_exposures(epath.Path(tmp_path) / name, "run", {"recall": exposures((3, 2))})
    assert (tmp_path / "a" / NAME).read_bytes() == (tmp_path / "b" / NAME).read_bytes()


def test_a_longer_run_writes_them_again_or_leaves_the_old_ones(tmp_path, monkeypatch):
    folder = epath.Path(tmp_path)
    write_exposures(folder, "run", {"recall": exposures((3, 2))})

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match="no space left"):
        write_exposures(folder, "run", {"recall": exposures((3, 2), (9, 1))})
    monkeypatch.undo()
    assert read_exposures(folder)["recall"].steps.tolist() == [3]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    write_exposures(folder, "run", {"recall": exposures((3, 2), (9, 1))})
    assert read_exposures(folder)["recall"].steps.tolist() == [3, 9]


@pytest.mark.parametrize(
    ("damage", "word"),
    [(lambda c: c[:40], "damaged"), (lambda c: b"", "damaged"), (None, "missing")],
)
def test_a_damaged_file_is_one_line(tmp_path, damage, word):
    write_exposures(epath.Path(tmp_path), "run", {"recall": exposures((3, 2))})
    path = tmp_path / NAME
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=f"{NAME}: {word}.*; run the study again"):
        read_exposures(epath.Path(tmp_path))


def test_another_run_s_are_refused(tmp_path):
    write_exposures(epath.Path(tmp_path), "other", {"recall": exposures((3, 2))})
    with pytest.raises(UserError, match=f"{NAME}: is of run other, where run was expected"):
        read_exposures(epath.Path(tmp_path), "run")
